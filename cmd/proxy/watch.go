// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// watchSettle is how long a file must be left alone before it counts as
	// changed: editors write in several steps.
	watchSettle = 100 * time.Millisecond
	// watchPatience is how long a file may go on changing before it is looked at
	// all the same.
	watchPatience = 2 * time.Second
	// watchPoll is how often the file is looked at where nothing tells of
	// changes, as on network file systems and with a single mounted file.
	watchPoll = 2 * time.Second
)

// fileWatch tells of changes to the content behind a path. It watches the
// directories that lead there rather than the file: a rename, or a link that is
// set anew as in a mounted ConfigMap, puts another file in its place.
type fileWatch struct {
	// changed receives after each change, or several in a row.
	changed chan struct{}

	path    string
	log     *slog.Logger
	notify  *fsnotify.Watcher // nil where the system has no watches left
	watched []string
	stop    chan struct{}
	done    chan struct{}
}

// watchFile watches path until close.
func watchFile(path string, log *slog.Logger) *fileWatch {
	w := &fileWatch{
		changed: make(chan struct{}, 1), path: path, log: log, stop: make(chan struct{}), done: make(chan struct{}),
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("declarative config is polled: files cannot be watched", "every", watchPoll, "error", err)
	} else {
		w.notify = notify
	}
	w.follow()
	before := identify(path)
	go w.run(before)
	return w
}

func (w *fileWatch) close() {
	close(w.stop)
	<-w.done
	if w.notify != nil {
		_ = w.notify.Close()
	}
}

func (w *fileWatch) run(seen identity) {
	defer close(w.done)
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	var events <-chan fsnotify.Event
	var failures <-chan error
	if w.notify != nil {
		events, failures = w.notify.Events, w.notify.Errors
	}
	// A look is due when settle fires: at once where nothing changed, else when
	// the file has stayed the same for a while.
	settle := time.NewTimer(watchSettle)
	defer settle.Stop()
	due, candidate, since := true, seen, time.Now()
	look := func() {
		if !due {
			due, candidate, since = true, identify(w.path), time.Now()
			settle.Reset(watchSettle)
		}
	}
	for {
		select {
		case <-w.stop:
			return
		case <-events:
			look()
		case err := <-failures:
			// Events may be lost: look for ourselves.
			w.log.Warn("watching the declarative config", "error", err)
			look()
		case <-poll.C:
			look()
		case now := <-settle.C:
			current := identify(w.path)
			if current != candidate && now.Sub(since) < watchPatience {
				candidate = current
				settle.Reset(watchSettle)
				continue
			}
			due = false
			w.follow()
			if current != seen {
				seen = current
				select {
				case w.changed <- struct{}{}:
				default:
				}
			}
		}
	}
}

// follow watches the directories that path leads through now, and no others.
func (w *fileWatch) follow() {
	if w.notify == nil {
		return
	}
	wanted := directories(w.path)
	for _, d := range w.watched {
		if !slices.Contains(wanted, d) {
			_ = w.notify.Remove(d) // it may be gone
		}
	}
	for _, d := range wanted {
		// Adding again is harmless, and needed where a directory was replaced.
		if err := w.notify.Add(d); err != nil {
			w.log.Warn("directory of the declarative config cannot be watched; it is polled", "directory", d, "error", err)
		}
	}
	w.watched = wanted
}

// maxLinks bounds how many links a path may lead through.
const maxLinks = 32

// directories returns the directories in which a change may put another file
// behind path: its own, and those of the links on the way.
func directories(path string) (dirs []string) {
	add := func(dir string) {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil && !slices.Contains(dirs, resolved) {
			dirs = append(dirs, resolved)
		}
		// A link among the parents, such as ..data, is an entry of the
		// directory above.
		if above := filepath.Dir(dir); isLink(dir) && !slices.Contains(dirs, above) {
			dirs = append(dirs, above)
		}
	}
	for range maxLinks {
		add(filepath.Dir(path))
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return dirs
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// identity tells whether a file may have changed: two that are equal are the
// same file, with the same size and times. The zero identity is no file.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // in nanoseconds
}

func identify(path string) identity {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil {
		return identity{}
	}
	return identity{device: s.Dev, inode: s.Ino, size: s.Size, modified: s.Mtim.Nano(), changed: s.Ctim.Nano()}
}
