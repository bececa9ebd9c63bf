// The Go client of 2.x against a cluster of three: `go2-client steps|failover|stop|skew|mixed|tls|hold`. Settings come in the
// environment: COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_VERSION=x.y.z
// COMPAT_LOGS=folder
package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// checkVersion refuses to speak for another version than the one built in.
func checkVersion() {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == "github.com/nacos-group/nacos-sdk-go/v2" && dependency.Version == "v"+os.Getenv("COMPAT_VERSION") {
			return
		}
	}
	panic("the client built in is not " + os.Getenv("COMPAT_VERSION"))
}

func main() {
	checkVersion()
	if os.Args[1] != "hold" {
		listen()
	}
	err := map[string]func() error{
		"steps":    steps,
		"failover": func() error { return moving("failover", "kill", "restart") },
		"stop":     func() error { return moving("stop", "stop", "start") },
		"skew":     skew,
		"mixed":    mixed,
		"tls":      throughTLS,
		"hold":     hold,
	}[os.Args[1]]()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
