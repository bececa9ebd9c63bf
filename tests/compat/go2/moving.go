package main

import (
	"fmt"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
)

// The client looks after its connection every 5 s and takes the next node at once.
const movedWithin = 15 * time.Second

type pinned struct {
	client naming_client.INamingClient
	node   string
	seen   *watch
}

// moving has a node end under its clients, killed or told to stop: they go on by themselves, and nothing they hold leaves the
// others' lists. Of each node's two clients the first stays idle, the second calls.
func moving(name, end, begin string) error {
	service := serviceName(name)
	movers, err := spread(nodes, nodes, 2)
	if err != nil {
		return err
	}
	var ports []uint64
	for at, mover := range movers {
		if err := register(mover, instance(service, 50+uint64(at), 1)); err != nil {
			return err
		}
		ports = append(ports, first+50+uint64(at))
	}
	var seen []*watch
	for _, mover := range movers {
		its, err := subscribe(mover, service, group)
		if err != nil {
			return err
		}
		seen = append(seen, its)
	}
	var fixed []pinned
	for _, node := range nodes {
		client := connect(node)
		its, err := subscribe(client, service, group)
		if err != nil {
			return err
		}
		fixed = append(fixed, pinned{client, node, its})
		seen = append(seen, its)
	}
	for _, its := range seen {
		if err := eventually("all, everywhere", 10*time.Second, func() bool { return its.has(ports...) }); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)

	dead := ask(end)
	start := time.Now()
	var ofDead []int
	for at, mover := range movers {
		if mover.node == dead {
			ofDead = append(ofDead, at)
		}
	}
	idle, calling := ofDead[0], ofDead[1]
	var survivors []pinned
	var left []string
	for _, each := range fixed {
		if each.node != dead {
			survivors, left = append(survivors, each), append(left, each.node)
		}
	}
	together(
		func() {
			run(name+"_stays_listed", func() (outcome, error) { return staysListed(survivors, ports, start) })
		},
		func() {
			run(name+"_moves", func() (outcome, error) {
				// All but the one that knows the dead node alone.
				wanted := len(movers) + len(fixed) - 1
				err := eventually("a connection to another node for each client", movedWithin, func() bool { return led(left...) >= wanted })
				return outcome{since(start), "until all clients are on the other nodes"}, err
			})
		},
		func() {
			run(name+"_register", func() (outcome, error) {
				err := eventually("a registration", movedWithin, func() bool {
					return register(movers[calling], instance(service, 50+uint64(calling), 2)) == nil
				})
				return outcome{since(start), "until a client of the ended node registers again"}, err
			})
		},
		func() {
			run(name+"_event", func() (outcome, error) {
				if err := register(survivors[0].client, instance(service, 60, 1)); err != nil {
					return outcome{}, err
				}
				err := eventually("a change made after the end", 20*time.Second, func() bool { return seen[idle].has(first + 60) })
				return outcome{since(start), "until an idle client of the ended node hears of a change made since"}, err
			})
		},
		func() {
			run(name+"_list", func() (outcome, error) {
				err := eventually("all of them", 15*time.Second, func() bool {
					hosts, err := list(service, nodes...)
					return err == nil && has(hosts, append(ports, first+60)...)
				})
				return outcome{0, "by a client that starts now and knows all three nodes"}, err
			})
		},
	)
	run(name+"_settled", func() (outcome, error) {
		ms, err := seen[idle].change("a change", 5*time.Second, func() error { return register(survivors[0].client, instance(service, 62, 1)) }, with(first+62))
		return outcome{ms, "a change, heard of by an idle client that has moved"}, err
	})
	ask(begin)
	run(name+"_restarted_node", func() (outcome, error) {
		err := eventually("all on the node that is back", 10*time.Second, func() bool {
			hosts, err := list(service, dead)
			return err == nil && has(hosts, ports...)
		})
		if err != nil {
			return outcome{}, err
		}
		for _, each := range fixed {
			if each.node == dead {
				client := connect(dead)
				ms, err := each.seen.change("a change", 75*time.Second, func() error { return register(client, instance(service, 61, 1)) }, with(first+61))
				return outcome{ms, "until a client that knows that node alone hears of a change there"}, err
			}
		}
		return outcome{}, fmt.Errorf("nobody was there")
	})
	return nil
}

func staysListed(survivors []pinned, ports []uint64, start time.Time) (outcome, error) {
	time.Sleep(time.Until(start.Add(45 * time.Second)))
	for _, each := range survivors {
		if absence := each.seen.absence(ports...); absence > 0 {
			return outcome{}, fmt.Errorf("a callback on a survivor left one out for %s", absence)
		}
		if !each.seen.has(ports...) {
			return outcome{}, fmt.Errorf("one is no longer listed")
		}
	}
	return outcome{0, "no callback on the two survivors left one out, for 45 s"}, nil
}
