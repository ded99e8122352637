// SPDX-License-Identifier: Apache-2.0

package cli

func commands() []command {
	return []command{
		{name: "build", args: "[--only a,b] [--print-assets]", help: "build the heavy tools into the cache", run: runBuild},
		{name: "packages", args: "[--check]", help: "install the Debian packages that are missing", run: runPackages},
	}
}
