package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

// watch keeps what the last callback said, when the awaited one came, and which ports a callback ever left out again.
type watch struct {
	sync.Mutex
	hosts  []model.SubscribeService
	shrunk map[uint64]bool
	wanted func([]model.SubscribeService) bool
	told   time.Time
}

func subscribe(to naming_client.INamingClient, service, group string) (*watch, error) {
	seen := &watch{shrunk: map[uint64]bool{}}
	err := to.Subscribe(&vo.SubscribeParam{ServiceName: service, GroupName: group, SubscribeCallback: seen.called})
	return seen, err
}

func (seen *watch) called(now []model.SubscribeService, err error) {
	// An error carries no list. The client gives one for a service that has no instances yet, from a goroutine of its own that
	// may run after the one that brings the first instance.
	if err != nil {
		return
	}
	seen.Lock()
	defer seen.Unlock()
	for _, old := range seen.hosts {
		if !contains(now, old.Port) {
			seen.shrunk[old.Port] = true
		}
	}
	seen.hosts = now
	if seen.wanted != nil && seen.wanted(now) {
		seen.told, seen.wanted = time.Now(), nil
	}
}

func contains(hosts []model.SubscribeService, port uint64) bool {
	for _, host := range hosts {
		if host.Port == port {
			return true
		}
	}
	return false
}

func (seen *watch) test(wanted func([]model.SubscribeService) bool) bool {
	seen.Lock()
	defer seen.Unlock()
	return wanted(seen.hosts)
}

func (seen *watch) has(port uint64) bool {
	return seen.test(func(hosts []model.SubscribeService) bool { return contains(hosts, port) })
}

func (seen *watch) leftOut(ports ...uint64) error {
	seen.Lock()
	defer seen.Unlock()
	for _, port := range ports {
		if seen.shrunk[port] {
			return fmt.Errorf("a callback left %d out", port)
		}
	}
	return nil
}

// change measures from the publisher's call to the subscriber's callback, in milliseconds.
func (seen *watch) change(what string, make func() error, wanted func([]model.SubscribeService) bool) (float64, error) {
	seen.Lock()
	seen.told, seen.wanted = time.Time{}, wanted
	seen.Unlock()
	start := time.Now()
	if err := make(); err != nil {
		return 0, err
	}
	err := eventually(what, 15*time.Second, func() bool {
		seen.Lock()
		defer seen.Unlock()
		return !seen.told.IsZero()
	})
	return float64(seen.told.Sub(start).Microseconds()) / 1000, err
}
