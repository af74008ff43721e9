package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release, replaced at build time with
// -ldflags "-X main.version=…".
var version = "0.1.0-dev"

// versionText is what transportd version prints: the release, the commit where
// the build knows it, and how it was built.
func versionText() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
	}
	return fmt.Sprintf("transportd %s%s, %s, %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
