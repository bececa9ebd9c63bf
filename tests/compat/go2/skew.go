package main

import (
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
)

// skew is played on nodes whose clocks stand apart: the second of the three is 5 s ahead, the third 5 s behind. No update may be
// lost, also by who moves from the one to the other: this client drops a list that is not newer than the one it has.
func skew() error {
	ahead, behind := nodes[1], nodes[2]
	service := serviceName("skew")
	publishers := []naming_client.INamingClient{connect(nodes[0]), connect(ahead), connect(behind)}
	for at, publisher := range publishers {
		if err := register(publisher, instance(service, 80+uint64(at), 1)); err != nil {
			return err
		}
	}
	movers, err := spread([]string{ahead, behind}, []string{ahead}, 3)
	if err != nil {
		return err
	}
	if err := register(movers[1], instance(service, 83, 1)); err != nil {
		return err
	}
	seen, err := subscribe(movers[0], service, group)
	if err != nil {
		return err
	}
	behindSeen, err := subscribe(connect(behind), service, group)
	if err != nil {
		return err
	}
	for _, each := range []*watch{seen, behindSeen} {
		if err := eventually("all four", 10*time.Second, func() bool { return each.has(first+80, first+81, first+82, first+83) }); err != nil {
			return err
		}
	}
	run("skew_ahead", func() (outcome, error) { return changes(publishers, service, seen, 2) })
	run("skew_behind", func() (outcome, error) { return changes(publishers, service, behindSeen, 3) })
	// What a node says when it is asked is dated by its own clock, which the other nodes may not have heard of since.
	time.Sleep(6 * time.Second)
	quiet, err := subscribe(movers[2], service, group)
	if err != nil {
		return err
	}
	if err := eventually("all four", 10*time.Second, func() bool { return quiet.has(first+80, first+81, first+82, first+83) }); err != nil {
		return err
	}
	dead := ask("stop")
	start := time.Now()
	run("skew_moves", func() (outcome, error) {
		// The three that moved, the pinned subscriber and its publisher.
		if err := eventually("connections to the node behind", 15*time.Second, func() bool { return led(behind) >= 5 }); err != nil {
			return outcome{}, err
		}
		if err := register(publishers[0], instance(service, 80, 40)); err != nil {
			return outcome{}, err
		}
		err := eventually("a change after the move", 15*time.Second, func() bool { return seen.test(weighs(40)) })
		return outcome{since(start), "from 5 s ahead to 5 s behind, until the first change is heard of there"}, err
	})
	run("skew_moved_at_once", func() (outcome, error) {
		err := eventually("the change", 3*time.Second, func() bool { return quiet.test(weighs(40)) })
		return outcome{0, "the same, by one that had asked the node ahead just before"}, err
	})
	run("skew_moved", func() (outcome, error) { return changes(publishers[:1], service, seen, 50) })
	run("skew_moved_publisher", func() (outcome, error) {
		ms, err := behindSeen.change("its update", 10*time.Second, func() error { return register(movers[1], instance(service, 83, 60)) }, weighs(60))
		return outcome{ms, "an instance first published 5 s ahead is updated 5 s behind"}, err
	})
	ask("start")
	run("skew_returned", func() (outcome, error) {
		back, err := subscribe(connect(dead), service, group)
		if err != nil {
			return outcome{}, err
		}
		if err := eventually("those that live", 10*time.Second, func() bool { return back.has(first+80, first+82, first+83) }); err != nil {
			return outcome{}, err
		}
		return changes(publishers[:1], service, back, 70)
	})
	return nil
}

// changes has each publisher in turn make two changes, each to be heard of by `seen`.
func changes(publishers []naming_client.INamingClient, service string, seen *watch, begin int) (outcome, error) {
	var taken []float64
	for round := range 2 {
		for at, publisher := range publishers {
			weight := float64(begin*10+round*3+at) + 0.5
			ms, err := seen.change("a change", 5*time.Second, func() error { return register(publisher, instance(service, 80+uint64(at), weight)) }, weighs(weight))
			if err != nil {
				return outcome{}, err
			}
			taken = append(taken, ms)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return times(taken), nil
}
