package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// stage has the publisher on the first node, the subscriber on the second, a third client on the third.
type stage struct {
	publisher naming_client.INamingClient
	// A connection publishes one instance, or one batch, under a service; a second instance takes a second connection.
	second            naming_client.INamingClient
	subscriber, third naming_client.INamingClient
	service           string
}

func steps() error {
	here := stage{connect(nodes[0]), connect(nodes[0]), connect(nodes[1]), connect(nodes[2]), serviceName("steps")}
	together(staysAlive, func() {
		here.registerAndList()
		seen, err := here.subscribe()
		if err != nil {
			return
		}
		together(func() { killed(seen, here.service) }, func() {
			ask("turn")
			run("push_times", func() (outcome, error) { return here.pushTimes(seen) })
			run("large_list", largeList)
			say(map[string]string{"ask": "turn_over"})
			run("update_seen", func() (outcome, error) { return here.updateSeen(seen) })
			run("service_list", here.serviceList)
			here.batches()
			here.persistent()
			run("unsubscribe", func() (outcome, error) { return here.unsubscribe(seen) })
			run("deregister", func() (outcome, error) { return here.deregistered(seen) })
		})
	})
	return nil
}

func (here stage) registerAndList() {
	run("register", func() (outcome, error) {
		param := instance(here.service, 1, 1)
		param.Metadata = map[string]string{"zone": "a", "text": "ä b&c=d"}
		return outcome{}, register(here.publisher, param)
	})
	run("list", func() (outcome, error) {
		var hosts []model.Instance
		err := eventually("the instance on another node", 5*time.Second, func() (found bool) {
			hosts, _ = cached(here.third, here.service)
			return len(hosts) > 0
		})
		if err != nil {
			return outcome{}, err
		}
		found := hosts[0]
		if len(hosts) != 1 || found.Metadata["text"] != "ä b&c=d" || !found.Ephemeral || !found.Healthy || found.Weight != 1 || found.ClusterName != "DEFAULT" {
			return outcome{}, fmt.Errorf("listed as %+v", hosts)
		}
		return outcome{}, nil
	})
	run("select_instances", func() (outcome, error) {
		healthy, err := here.third.SelectInstances(vo.SelectInstancesParam{ServiceName: here.service, GroupName: group, HealthyOnly: true})
		if err != nil || len(healthy) != 1 {
			return outcome{}, fmt.Errorf("selects %+v, %v", healthy, err)
		}
		sick, err := here.third.SelectInstances(vo.SelectInstancesParam{ServiceName: here.service, GroupName: group, HealthyOnly: false})
		if err != nil || len(sick) != 0 {
			return outcome{}, fmt.Errorf("selects %+v, %v, as unhealthy", sick, err)
		}
		one, err := here.third.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{ServiceName: here.service, GroupName: group})
		if err == nil && one.Port != first+1 {
			err = fmt.Errorf("selects %+v", one)
		}
		return outcome{}, err
	})
	run("select_clusters", func() (outcome, error) {
		inside, err := cached(here.third, here.service, "DEFAULT")
		if err != nil || len(inside) != 1 {
			return outcome{}, fmt.Errorf("in DEFAULT: %+v, %v", inside, err)
		}
		outside, err := cached(here.third, here.service, "other")
		if err == nil && len(outside) != 0 {
			err = fmt.Errorf("in another cluster: %+v", outside)
		}
		return outcome{}, err
	})
}

func (here stage) subscribe() (*watch, error) {
	seen, err := subscribe(here.subscriber, here.service, group)
	run("subscribe_event", func() (outcome, error) {
		if err != nil {
			return outcome{}, err
		}
		if err := eventually("the first callback", 5*time.Second, func() bool { return seen.has(first + 1) }); err != nil {
			return outcome{}, err
		}
		ms, err := seen.change("the second instance", 5*time.Second, func() error { return register(here.second, instance(here.service, 2, 1)) }, with(first+2))
		return outcome{ms, "second instance, registered on another node"}, err
	})
	run("subscribe_before_service", func() (outcome, error) {
		early := serviceName("early")
		seen, err := subscribe(here.subscriber, early, group)
		if err != nil {
			return outcome{}, err
		}
		time.Sleep(time.Second)
		ms, err := seen.change("the first instance", 5*time.Second, func() error { return register(here.publisher, instance(early, 3, 1)) }, with(first+3))
		return outcome{ms, "subscribed 1 s before the service was there"}, err
	})
	return seen, err
}

func (here stage) pushTimes(seen *watch) (outcome, error) {
	publisher := connect(nodes[0])
	var taken []float64
	for round := range uint64(10) {
		time.Sleep(700 * time.Millisecond)
		offset := 10 + round/2
		change, wanted := func() error { return register(publisher, instance(here.service, offset, 1)) }, with(first+offset)
		if round%2 == 1 {
			change, wanted = func() error { return deregister(publisher, here.service, offset, true) }, without(first+offset)
		}
		ms, err := seen.change("a change", 5*time.Second, change, wanted)
		if err != nil {
			return outcome{}, err
		}
		taken = append(taken, ms)
	}
	return times(taken), nil
}

func (here stage) updateSeen(seen *watch) (outcome, error) {
	changed := func(hosts []model.Instance) bool {
		return slices.ContainsFunc(hosts, func(host model.Instance) bool {
			return host.Port == first+2 && host.Weight == 3.5 && host.Metadata["zone"] == "b"
		})
	}
	ms, err := seen.change("weight and metadata", 5*time.Second, func() error {
		_, err := here.second.UpdateInstance(vo.UpdateInstanceParam{Ip: ip, Port: first + 2, ServiceName: here.service, GroupName: group,
			Ephemeral: true, Weight: 3.5, Enable: true, Healthy: true, Metadata: map[string]string{"zone": "b"}})
		return err
	}, changed)
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(2 * time.Second)
	if !seen.test(changed) {
		return outcome{}, fmt.Errorf("something undid it")
	}
	return outcome{ms, "weight and metadata"}, nil
}

func (here stage) serviceList() (outcome, error) {
	found, err := here.third.GetAllServicesInfo(vo.GetAllServiceInfoParam{GroupName: group, PageNo: 1, PageSize: 1000})
	if err == nil && (found.Count != int64(len(found.Doms)) || !slices.Contains(found.Doms, here.service)) {
		err = fmt.Errorf("lists %+v", found)
	}
	return outcome{0, fmt.Sprintf("%d names", found.Count)}, err
}

func (here stage) batches() {
	service := serviceName("batch")
	batch := func(offsets ...uint64) error {
		var instances []vo.RegisterInstanceParam
		for _, offset := range offsets {
			instances = append(instances, instance(service, offset, 1))
		}
		_, err := here.publisher.BatchRegisterInstance(vo.BatchRegisterInstanceParam{ServiceName: service, GroupName: group, Instances: instances})
		return err
	}
	seen, err := subscribe(here.subscriber, service, group)
	run("batch_register", func() (outcome, error) {
		if err != nil {
			return outcome{}, err
		}
		all := func(hosts []model.Instance) bool { return len(hosts) == 3 }
		ms, err := seen.change("all three", 5*time.Second, func() error { return batch(20, 21, 22) }, all)
		return outcome{ms, "three instances on one connection"}, err
	})
	run("batch_deregister", func() (outcome, error) {
		fewer := func(hosts []model.Instance) bool { return len(hosts) == 2 && !has(hosts, first+21) }
		ms, err := seen.change("two of three", 5*time.Second, func() error { return batch(20, 22) }, fewer)
		return outcome{ms, "a shorter batch: this client has no other call for it"}, err
	})
}

func (here stage) persistent() {
	service := serviceName("persistent")
	// The server may probe a persistent instance by TCP, so something must listen there.
	listening, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.FormatUint(first+30, 10)))
	if err != nil {
		panic(err)
	}
	defer listening.Close()
	run("persistent_register", func() (outcome, error) {
		param := instance(service, 30, 1)
		param.Ephemeral = false
		if err := register(here.publisher, param); err != nil {
			return outcome{}, err
		}
		var hosts []model.Instance
		err := eventually("the persistent instance on another node", 5*time.Second, func() bool {
			hosts, _ = list(service, nodes[2])
			return has(hosts, first+30)
		})
		if err == nil && hosts[0].Ephemeral {
			err = fmt.Errorf("listed as %+v", hosts)
		}
		return outcome{0, "over HTTP: this client has no other way"}, err
	})
	run("persistent_deregister", func() (outcome, error) {
		if err := deregister(here.publisher, service, 30, false); err != nil {
			return outcome{}, err
		}
		return outcome{0, "over HTTP"}, eventually("gone on another node", 5*time.Second, func() bool {
			hosts, err := list(service, nodes[2])
			return err == nil && len(hosts) == 0
		})
	})
}

func (here stage) unsubscribe(seen *watch) (outcome, error) {
	leaver := connect(nodes[1])
	left, err := subscribe(leaver, here.service, group)
	if err != nil {
		return outcome{}, err
	}
	if err := eventually("the first callback", 5*time.Second, func() bool { return left.has(first + 2) }); err != nil {
		return outcome{}, err
	}
	if err := leaver.Unsubscribe(left.param); err != nil {
		return outcome{}, err
	}
	known := left.count()
	_, err = seen.change("a change, to who stayed subscribed", 5*time.Second, func() error { return register(here.second, instance(here.service, 2, 7)) }, weighs(7))
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(time.Second)
	if left.count() != known {
		return outcome{}, fmt.Errorf("called after it had left")
	}
	return outcome{0, "the other subscriber hears of the next change, this one does not"}, nil
}

func (here stage) deregistered(seen *watch) (outcome, error) {
	ms, err := seen.change("the deregistered instance", 5*time.Second, func() error { return deregister(here.second, here.service, 2, true) }, without(first+2))
	if err != nil {
		return outcome{}, err
	}
	for start := time.Now(); time.Since(start) < 3*time.Second; time.Sleep(time.Second) {
		for _, node := range nodes {
			hosts, err := list(here.service, node)
			if err != nil {
				return outcome{}, err
			}
			if has(hosts, first+2) {
				return outcome{}, fmt.Errorf("back on %s %.0f ms after it left", node, since(start))
			}
		}
	}
	return outcome{ms, "gone at once, and stays gone on all nodes"}, nil
}

// largeList publishes a thousand instances in one batch, seen on another node.
func largeList() (outcome, error) {
	const many = 1000
	service := serviceName("large")
	publisher, subscriber := connect(nodes[0]), connect(nodes[1])
	seen, err := subscribe(subscriber, service, group)
	if err != nil {
		return outcome{}, err
	}
	var instances []vo.RegisterInstanceParam
	for count := range many {
		noise := make([]byte, 50)
		if _, err := rand.Read(noise); err != nil {
			return outcome{}, err
		}
		each := instance(service, 100, 1)
		each.Ip = fmt.Sprintf("10.98.%d.%d", count/250, count%250+1)
		each.Metadata = map[string]string{"noise": hex.EncodeToString(noise)}
		instances = append(instances, each)
	}
	ms, err := seen.change("all thousand", 10*time.Second, func() error {
		_, err := publisher.BatchRegisterInstance(vo.BatchRegisterInstanceParam{ServiceName: service, GroupName: group, Instances: instances})
		return err
	}, func(hosts []model.Instance) bool { return len(hosts) == many })
	return outcome{ms, "1,000 instances in one batch"}, err
}

// staysAlive has a client that does nothing but exist.
func staysAlive() {
	run("stays_alive", func() (outcome, error) {
		service := serviceName("idle")
		idle, subscriber := connect(nodes[0]), connect(nodes[1])
		if err := register(idle, instance(service, 6, 1)); err != nil {
			return outcome{}, err
		}
		seen, err := subscribe(subscriber, service, group)
		if err != nil {
			return outcome{}, err
		}
		if err := eventually("the idle instance", 5*time.Second, func() bool { return seen.has(first + 6) }); err != nil {
			return outcome{}, err
		}
		time.Sleep(42 * time.Second)
		hosts, err := list(service, nodes[1])
		if err == nil && (!has(hosts, first+6) || seen.absence(first+6) > 0) {
			err = fmt.Errorf("it left: %+v", hosts)
		}
		return outcome{0, "idle for 42 s, listed all the time"}, err
	})
}

func killed(seen *watch, service string) {
	run("killed_client_removed", func() (outcome, error) {
		child := exec.Command(os.Args[0], "hold")
		child.Env = append(os.Environ(), "HOLD_SERVICE="+service)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			return outcome{}, err
		}
		defer child.Process.Kill()
		if err := eventually("the held instance", 20*time.Second, func() bool { return seen.has(first + 5) }); err != nil {
			return outcome{}, err
		}
		time.Sleep(time.Second)
		ms, err := seen.change("removed", 10*time.Second, func() error {
			if err := child.Process.Kill(); err != nil {
				return err
			}
			child.Wait()
			return nil
		}, without(first+5))
		return outcome{ms, "kill -9 of the client, to the callback on another node"}, err
	})
}

// hold holds one instance until it is killed.
func hold() error {
	if err := register(connect(nodes[0]), instance(os.Getenv("HOLD_SERVICE"), 5, 1)); err != nil {
		return err
	}
	time.Sleep(2 * time.Minute)
	return nil
}
