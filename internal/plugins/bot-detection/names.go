// SPDX-License-Identifier: Apache-2.0

package botdetection

// names, one a line, tell a robot wherever they stand. Those with "crawl" or
// "spider" in them are left out: these words do it alone.
const names = `
AdsBot-Google
Apache-HttpClient
AppEngine-Google
Aboundex
Ask Jeeves
BUbiNG
BingPreview
BlogBridge
Bloglovin
BoardReader Blog Indexer
BoardReader Favicon Fetcher
BotName/$BotVersion
BotSeer
Catchpoint
Charlotte
Checklinks
Cityreview Robot
Daumoa
Feed Seeker Bot
Feedbin
Finderbots
Flamingo_SearchEngine
FollowSite Bot
Genieo
Go-http-client
GomezAgent
Google SketchUp
Google-HTTP-Java-Client
Googlebot
HiddenMarket
HooWWWer
HttpMonitor
Icarus6j
IconSurf
IlTrovatore
InfuzApp
InternetArchive
JNLP
Job Roboter
KaloogaBot
Kraken
Kurzor
LEIA
LesnikBot
Linguee Bot
LinkAider
LinkedInBot
Lite Bot
Llaut
MJ12bot
Mail.RU_Bot
Mediapartners-Google
Mtps Feed Aggregation System
Netvibes
NewsGator
Nutch
Nymesis
OOZBOT
ObjectsSearch
OgScrper
Orbiter
PagePeeker
PagesInventory
PaxleFramework
Peeplo Screenshot Bot
PlantyNet_WebRobot
Pompos
Python-urllib
Qwantify
Read%20Later
Reaper
RedCarpet
Retreiver
Riddler
Rival IQ
SEOstats
Scrape
Scrapy
Scrubby
SemrushBot
SimplePie
SimpleRSS
Simpy
SiteCat Webbot
SiteCon
Slack-ImgProxy
Slackbot-LinkExpanding
Slurp
Squrl Java
Stringer
TLSProber
TheUsefulbot
ThumbShotsBot
Thumbshots.ru
Tiny Tiny RSS
Twitterbot
URL2PNG
Vagabondo
VoilaBot
Votay bot
WIRE
Web-sniffer
WebThumb
WhatWeb
WhatsApp
WinHTTP
WordPress
Wotbox
YahooSeeker
YodaoBot
YottaaMonitor
Yowedo
ZeBot_www.ze.bz
ZooShot
ZyBorg
50.nu
aihttp
altavista
archiver
axios
bingbot
blitzbot
charlotte
clumboot
findlinks
furlbot
gigabot
gonzo1
grub-client
heritrix
holmes
htdig
http%20client
ichiro
larbin
lycos
masidani_bot
masscan
mogimogi
mozDex
msnbot
msrbot
netresearch
okhttp
reqwest
scalaj-http
scooter
scrape
searchsight
seekbot
semanticdiscovery
snappy
unirest-java
unirest-net
unirest-nodejs
unirest-php
unirest-python
unirest-ruby
www.almaden.ibm.com
yacy
`

// namesWithVersion tell a robot before a version: "name/1".
const namesWithVersion = `
008 Altresium Argus BaiduMobaider BoardReader DNSGroup DataparkSearch EDI Goodzer Grub INGRID Infohelfer LOOQ
PathDefender Peew PostPost Steeler VSE WebCrunch WebZIP envolk sproose wminer
`

// clients are clients of object stores, before a version of two parts.
const clients = `
Boto Boto3 JetS3t s3fs
aws-cli aws-sdk-cpp aws-sdk-go aws-sdk-java aws-sdk-nodejs aws-sdk-ruby aws-sdk-ruby2 aws-sdk-dotnet-core
`

// namesInComments tell a robot in "/name 1" and "/name-1".
const namesInComments = `Axtaris fetchurl Isara ShopSalad Tailsweep`

// surrounded are words that tell a robot where the pattern is found, too.
var surrounded = map[string]string{
	" Bot":                 `Microsoft .{0,30} Bot`,
	" PTST/":               ` PTST/\d+\.?\d+$`,
	".org_bot":             `archive.{0,30}\.org_bot`,
	"/+/web/snippet":       `Google.*/\+/web/snippet`,
	"Accoona-":             `Accoona-[A-z]{1,30}-Agent`,
	"Archiver":             `Archiver[/ ]\d`,
	"Bot":                  `Bot[/ ]\d|/[A-z]+Bot-\d`,
	"IP2":                  `IP2[a-z]{1,30}Bot`,
	"Indexer":              `Indexer[/ ]\d`,
	"Link Sleuth":          `Xenu(?:.s)? Link Sleuth`,
	"NING":                 `^NING`,
	"Pingdom.com_bot_":     `Pingdom\.com_bot_version_\d+\.\d`,
	"WASALive":             `WASALive.Bot`,
	"WeSEE:":               `WeSEE:[A-z]`,
	"Xerka ":               `Xerka [A-z]{1,30}Bot`,
	"Y!J-BR":               `\bY!J-BR[A-Z]/\d`,
	"Yandex":               `Yandex\w`,
	"Yeti":                 `\bYeti`,
	"Zao":                  `^Zao`,
	"aws-sdk-dotnet-":      `\baws-sdk-dotnet-\d{1,2}/\d+\.\d`,
	"boitho":               `boitho.com-dc`,
	"bot":                  `bot[/ ]\d|/[A-z]+bot-\d`,
	"facebookexternalhit/": `facebookexternalhit/\d+\.\d`,
	"favicon":              `\b\w{0,30}favicon\w{0,30}\b`,
	"indexer":              `indexer[/ ]\d`,
	"jbot":                 `jbot\b`,
	"vortex":               `^vortex`,
	"voyager":              `^voyager`,
}
