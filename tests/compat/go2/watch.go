package main

import (
	"sync"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// watch keeps what the last callback said, when the awaited one came, and which instances callbacks left out for how long.
type watch struct {
	sync.Mutex
	param  *vo.SubscribeParam
	hosts  []model.Instance
	calls  int
	wanted func([]model.Instance) bool
	told   time.Time
	// Ports that a callback left out again: since when, and the longest time that one stayed away.
	away    map[uint64]time.Time
	longest map[uint64]time.Duration
}

func subscribe(to naming_client.INamingClient, service, group string) (*watch, error) {
	seen := &watch{away: map[uint64]time.Time{}, longest: map[uint64]time.Duration{}}
	seen.param = &vo.SubscribeParam{ServiceName: service, GroupName: group, SubscribeCallback: seen.called}
	return seen, to.Subscribe(seen.param)
}

func (seen *watch) called(now []model.Instance, err error) {
	// An error carries no list: the client gives one for a service that has no instances.
	if err != nil {
		return
	}
	seen.Lock()
	defer seen.Unlock()
	instant := time.Now()
	for _, old := range seen.hosts {
		if !has(now, old.Port) {
			seen.away[old.Port] = instant
		}
	}
	for _, host := range now {
		if left, ok := seen.away[host.Port]; ok {
			seen.longest[host.Port] = max(seen.longest[host.Port], instant.Sub(left))
			delete(seen.away, host.Port)
		}
	}
	seen.hosts = now
	seen.calls++
	if seen.wanted != nil && seen.wanted(now) {
		seen.told, seen.wanted = instant, nil
	}
}

func has(hosts []model.Instance, ports ...uint64) bool {
	for _, port := range ports {
		found := false
		for _, host := range hosts {
			found = found || host.Port == port
		}
		if !found {
			return false
		}
	}
	return true
}

func with(port uint64) func([]model.Instance) bool {
	return func(hosts []model.Instance) bool { return has(hosts, port) }
}

func without(port uint64) func([]model.Instance) bool {
	return func(hosts []model.Instance) bool { return !has(hosts, port) }
}

func weighs(weight float64) func([]model.Instance) bool {
	return func(hosts []model.Instance) bool {
		for _, host := range hosts {
			if host.Weight == weight {
				return true
			}
		}
		return false
	}
}

func (seen *watch) test(wanted func([]model.Instance) bool) bool {
	seen.Lock()
	defer seen.Unlock()
	return wanted(seen.hosts)
}

func (seen *watch) has(ports ...uint64) bool {
	return seen.test(func(hosts []model.Instance) bool { return has(hosts, ports...) })
}

func (seen *watch) count() int {
	seen.Lock()
	defer seen.Unlock()
	return seen.calls
}

// absence is the longest time that callbacks left one of these out, up to now for one that is still away.
func (seen *watch) absence(ports ...uint64) time.Duration {
	seen.Lock()
	defer seen.Unlock()
	longest := time.Duration(0)
	for _, port := range ports {
		longest = max(longest, seen.longest[port])
		if left, ok := seen.away[port]; ok {
			longest = max(longest, time.Since(left))
		}
	}
	return longest
}

// change measures from the publisher's call to the subscriber's callback, in milliseconds.
func (seen *watch) change(what string, within time.Duration, make func() error, wanted func([]model.Instance) bool) (float64, error) {
	seen.Lock()
	seen.told, seen.wanted = time.Time{}, wanted
	seen.Unlock()
	start := time.Now()
	if err := make(); err != nil {
		return 0, err
	}
	err := eventually(what, within, func() bool {
		seen.Lock()
		defer seen.Unlock()
		return !seen.told.IsZero()
	})
	seen.Lock()
	defer seen.Unlock()
	return float64(seen.told.Sub(start).Microseconds()) / 1000, err
}
