// The Go client against a cluster of three: `go-client steps|failover|mixed|hold`. Settings come in the environment:
// COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_VERSION=x.y.z  COMPAT_LOGS=folder
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/ioutil"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/common/constant"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"
)

// A group of its own, so that grouped names are exercised; the deregistering call sends no group beside them.
const group = "compat-go"

var (
	nodes = strings.Split(os.Getenv("COMPAT_NODES"), ",")
	word  = os.Getenv("COMPAT_RUN")
	ip    = os.Getenv("COMPAT_IP")
	first = number(os.Getenv("COMPAT_PORT"))
)

func number(text string) uint64 {
	value, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return value
}

func connect(to ...string) naming_client.INamingClient {
	var servers []constant.ServerConfig
	for _, node := range to {
		host, port, err := net.SplitHostPort(node)
		if err != nil {
			panic(err)
		}
		servers = append(servers, *constant.NewServerConfig(host, number(port)))
	}
	// A cache folder of its own: the client would else start from what another one wrote.
	cache, err := ioutil.TempDir(os.Getenv("COMPAT_LOGS"), "go-cache-")
	if err != nil {
		panic(err)
	}
	settings := constant.NewClientConfig(constant.WithNotLoadCacheAtStart(true), constant.WithCacheDir(cache),
		constant.WithLogDir(os.Getenv("COMPAT_LOGS")+"/go-"+os.Args[1]), constant.WithLogLevel("info"))
	client, err := clients.NewNamingClient(vo.NacosClientParam{ClientConfig: settings, ServerConfigs: servers})
	if err != nil {
		panic(err)
	}
	return client
}

func register(client naming_client.INamingClient, service, group string, offset uint64, weight float64, metadata map[string]string, ephemeral bool) error {
	_, err := client.RegisterInstance(vo.RegisterInstanceParam{Ip: ip, Port: first + offset, ServiceName: service, GroupName: group,
		Weight: weight, Enable: true, Healthy: true, Metadata: metadata, Ephemeral: ephemeral})
	return err
}

func deregister(client naming_client.INamingClient, service, group string, offset uint64, ephemeral bool) error {
	_, err := client.DeregisterInstance(vo.DeregisterInstanceParam{Ip: ip, Port: first + offset, ServiceName: service, GroupName: group, Ephemeral: ephemeral})
	return err
}

// list asks a server anew: this client lists from its cache alone, so each question takes a client of its own.
func list(node, service string) ([]model.Instance, error) {
	return connect(node).SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: service, GroupName: group})
}

func cached(client naming_client.INamingClient, service, group string) ([]model.Instance, error) {
	return client.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: service, GroupName: group})
}

func find(hosts []model.Instance, offset uint64) *model.Instance {
	for index := range hosts {
		if hosts[index].Port == first+offset {
			return &hosts[index]
		}
	}
	return nil
}

func with(port uint64) func([]model.SubscribeService) bool {
	return func(hosts []model.SubscribeService) bool { return contains(hosts, port) }
}

func without(port uint64) func([]model.SubscribeService) bool {
	return func(hosts []model.SubscribeService) bool { return !contains(hosts, port) }
}

func steps() {
	publisher, subscriber, third := connect(nodes[0]), connect(nodes[1]), connect(nodes[2])
	service := "compat-go-" + word

	run("register", func() (outcome, error) {
		// The client writes its beats' bodies as they are, unencoded, so no sign that means something in a form is in here.
		return outcome{}, register(publisher, service, group, 1, 1, map[string]string{"zone": "a", "text": "ä b"}, true)
	})
	seen, err := subscribe(subscriber, service, group)
	run("list", func() (outcome, error) {
		if err != nil {
			return outcome{}, err
		}
		// Each node has it some milliseconds after the first, and a client that asked before then is pushed to.
		for _, client := range []naming_client.INamingClient{third, subscriber} {
			err := eventually("the instance on another node", 5*time.Second, func() bool {
				hosts, err := cached(client, service, group)
				return err == nil && find(hosts, 1) != nil
			})
			if err != nil {
				return outcome{}, err
			}
		}
		hosts, err := cached(subscriber, service, group)
		if err != nil || len(hosts) != 1 {
			return outcome{}, fmt.Errorf("lists %+v, %v", hosts, err)
		}
		found := hosts[0]
		if found.Metadata["text"] != "ä b" || !found.Ephemeral || !found.Healthy || found.Weight != 1 || found.ClusterName != "DEFAULT" {
			return outcome{}, fmt.Errorf("listed as %+v", found)
		}
		return outcome{}, nil
	})
	run("select_instances", func() (outcome, error) {
		hosts, err := subscriber.SelectInstances(vo.SelectInstancesParam{ServiceName: service, GroupName: group, HealthyOnly: true})
		if err == nil && len(hosts) != 1 {
			err = fmt.Errorf("selects %+v", hosts)
		}
		return outcome{}, err
	})
	run("select_one_healthy", func() (outcome, error) {
		one, err := subscriber.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{ServiceName: service, GroupName: group})
		if err == nil && one.Port != first+1 {
			err = fmt.Errorf("selects %+v", one)
		}
		return outcome{}, err
	})
	run("subscribe_event", func() (outcome, error) {
		ms, err := seen.change("the second instance", func() error { return register(publisher, service, group, 2, 1, nil, true) }, with(first+2))
		return outcome{ms, "second instance, registered on another node"}, err
	})
	ask("turn")
	run("push_times", func() (outcome, error) { return pushTimes(publisher, seen, service) })
	say(map[string]string{"ask": "turn_over"})

	run("update_seen", func() (outcome, error) { return updateSeen(publisher, seen, service) })
	run("services_of_server", func() (outcome, error) {
		found, err := third.GetAllServicesInfo(vo.GetAllServiceInfoParam{GroupName: group, PageNo: 1, PageSize: 1000})
		if err == nil && (found.Count != int64(len(found.Doms)) || !strings.Contains(strings.Join(found.Doms, " ")+" ", service+" ")) {
			err = fmt.Errorf("lists %+v", found)
		}
		return outcome{}, err
	})

	var alone sync.WaitGroup
	for _, body := range []func(){
		func() { run("stays_alive", func() (outcome, error) { return staysAlive(seen, service) }) },
		func() { run("large_list", largeList) },
		func() { killed(seen, service) },
		func() { persistent(publisher) },
		func() { run("deregister", func() (outcome, error) { return deregistered(publisher, seen, service) }) },
	} {
		alone.Add(1)
		go func(body func()) {
			defer alone.Done()
			body()
		}(body)
	}
	alone.Wait()
}

func pushTimes(publisher naming_client.INamingClient, seen *watch, service string) (outcome, error) {
	var taken []float64
	for round := uint64(0); round < 10; round++ {
		time.Sleep(700 * time.Millisecond)
		offset := 10 + round/2
		change, wanted := func() error { return register(publisher, service, group, offset, 1, nil, true) }, with(first+offset)
		if round%2 == 1 {
			change, wanted = func() error { return deregister(publisher, service, group, offset, true) }, without(first+offset)
		}
		ms, err := seen.change("a change", change, wanted)
		if err != nil {
			return outcome{}, err
		}
		if ms > 5000 {
			return outcome{}, fmt.Errorf("came by polling, after %.0f ms", ms)
		}
		taken = append(taken, ms)
	}
	return times(taken), nil
}

func updateSeen(publisher naming_client.INamingClient, seen *watch, service string) (outcome, error) {
	changed := func(hosts []model.SubscribeService) bool {
		for _, host := range hosts {
			if host.Port == first+2 && host.Weight == 3.5 && host.Metadata["zone"] == "b" {
				return true
			}
		}
		return false
	}
	ms, err := seen.change("weight and metadata", func() error {
		_, err := publisher.UpdateInstance(vo.UpdateInstanceParam{Ip: ip, Port: first + 2, ServiceName: service, GroupName: group,
			ClusterName: "DEFAULT", Ephemeral: true, Weight: 3.5, Enable: true, Metadata: map[string]string{"zone": "b"}})
		return err
	}, changed)
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(6 * time.Second)
	if !seen.test(changed) {
		return outcome{}, fmt.Errorf("a beat undid it")
	}
	return outcome{ms, "and it outlives the next beat"}, nil
}

func staysAlive(seen *watch, service string) (outcome, error) {
	for start := time.Now(); time.Since(start) < 35*time.Second; time.Sleep(3 * time.Second) {
		hosts, err := list(nodes[2], service)
		if err != nil {
			return outcome{}, err
		}
		if found := find(hosts, 1); found == nil || !found.Healthy {
			return outcome{}, fmt.Errorf("its beats do not hold it: %+v", hosts)
		}
	}
	return outcome{0, "listed healthy for 35 s by its beats"}, seen.leftOut(first + 1)
}

// largeList makes a list whose gzip is far beyond the 4,024 bytes that this client reads of a datagram.
func largeList() (outcome, error) {
	const many = 150
	service := "compat-go-large-" + word
	publisher, subscriber := connect(nodes[0]), connect(nodes[1])
	if err := register(publisher, service, group, 100, 1, nil, true); err != nil {
		return outcome{}, err
	}
	seen, err := subscribe(subscriber, service, group)
	if err != nil {
		return outcome{}, err
	}
	if err := eventually("the first instance", 5*time.Second, func() bool { return seen.has(first + 100) }); err != nil {
		return outcome{}, err
	}
	for offset := uint64(101); offset < 100+many; offset++ {
		noise := make([]byte, 100)
		if _, err := rand.Read(noise); err != nil {
			return outcome{}, err
		}
		if err := register(publisher, service, group, offset, 1, map[string]string{"noise": hex.EncodeToString(noise)}, true); err != nil {
			return outcome{}, err
		}
	}
	start := time.Now()
	err = eventually("all of a list too large for a datagram", 15*time.Second, func() bool {
		return seen.test(func(hosts []model.SubscribeService) bool { return len(hosts) == many })
	})
	return outcome{since(start), fmt.Sprintf("%d instances, about %d KB even compressed; after the last registration", many, many*105/1000)}, err
}

func killed(seen *watch, service string) {
	var start time.Time
	unhealthy := func(hosts []model.SubscribeService) bool {
		for _, host := range hosts {
			if host.Port == first+5 && !host.Healthy {
				return true
			}
		}
		return false
	}
	ok := run("killed_client_unhealthy", func() (outcome, error) {
		child := exec.Command(os.Args[0], "hold")
		child.Env = append(os.Environ(), "HOLD_SERVICE="+service)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			return outcome{}, err
		}
		if err := eventually("the held instance", 10*time.Second, func() bool { return seen.has(first + 5) }); err != nil {
			return outcome{}, err
		}
		time.Sleep(time.Second)
		if err := child.Process.Kill(); err != nil {
			return outcome{}, err
		}
		start = time.Now()
		child.Wait()
		err := eventually("unhealthy", 25*time.Second, func() bool { return seen.test(unhealthy) })
		return outcome{since(start), "kill -9 of the client, to the callback"}, err
	})
	if !ok {
		return
	}
	run("killed_client_removed", func() (outcome, error) {
		if err := eventually("removed", 40*time.Second, func() bool { return !seen.has(first + 5) }); err != nil {
			return outcome{}, err
		}
		if ms := since(start); ms < 18000 || ms > 36000 {
			return outcome{}, fmt.Errorf("removed after %.0f ms", ms)
		}
		return outcome{since(start), "kill -9 of the client, to the callback"}, nil
	})
}

func persistent(publisher naming_client.INamingClient) {
	service := "compat-go-persistent-" + word
	// The server may probe a persistent instance by TCP, so something must listen there.
	listening, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.FormatUint(first+30, 10)))
	if err != nil {
		panic(err)
	}
	defer listening.Close()
	listed := func() *model.Instance {
		hosts, _ := list(nodes[2], service)
		return find(hosts, 30)
	}
	ok := run("persistent_register", func() (outcome, error) {
		if err := register(publisher, service, group, 30, 1, nil, false); err != nil {
			return outcome{}, err
		}
		if err := eventually("the persistent instance on another node", 5*time.Second, func() bool { return listed() != nil }); err != nil {
			return outcome{}, err
		}
		if found := listed(); found == nil || found.Ephemeral {
			return outcome{}, fmt.Errorf("listed as %+v", found)
		}
		return outcome{}, nil
	})
	if !ok {
		return
	}
	run("persistent_deregister", func() (outcome, error) {
		if err := deregister(publisher, service, group, 30, false); err != nil {
			return outcome{}, err
		}
		return outcome{}, eventually("gone on another node", 5*time.Second, func() bool { return listed() == nil })
	})
}

func deregistered(publisher naming_client.INamingClient, seen *watch, service string) (outcome, error) {
	ms, err := seen.change("the deregistered instance", func() error { return deregister(publisher, service, group, 2, true) }, without(first+2))
	if err != nil {
		return outcome{}, err
	}
	for start := time.Now(); time.Since(start) < 12*time.Second; time.Sleep(2 * time.Second) {
		for _, node := range []string{nodes[0], nodes[2]} {
			hosts, err := list(node, service)
			if err != nil {
				return outcome{}, err
			}
			if find(hosts, 2) != nil {
				return outcome{}, fmt.Errorf("back on %s %.0f ms after it left", node, since(start))
			}
		}
	}
	return outcome{ms, "gone at once, and for two beats after"}, nil
}

func hold() {
	if err := register(connect(nodes[0]), os.Getenv("HOLD_SERVICE"), group, 5, 1, nil, true); err != nil {
		panic(err)
	}
	time.Sleep(2 * time.Minute)
}

func onAllNodes(service string, offsets ...uint64) bool {
	for _, node := range nodes {
		hosts, err := list(node, service)
		if err != nil {
			return false
		}
		for _, offset := range offsets {
			if find(hosts, offset) == nil {
				return false
			}
		}
	}
	return true
}

func failover() {
	everywhere, listening := connect(nodes...), connect(nodes...)
	service := "compat-failover-go-" + word
	for _, offset := range []uint64{50, 51} {
		if err := register(everywhere, service, group, offset, 1, nil, true); err != nil {
			panic(err)
		}
	}
	// Callbacks of two lists that arrive together may run in either order and the last one stays, so there is to be one list.
	if err := eventually("both on all nodes", 10*time.Second, func() bool { return onAllNodes(service, 50, 51) }); err != nil {
		panic(err)
	}
	seen, err := subscribe(listening, service, group)
	if err != nil {
		panic(err)
	}
	if err := eventually("both listed", 10*time.Second, func() bool { return seen.has(first+50) && seen.has(first+51) }); err != nil {
		panic(err)
	}
	time.Sleep(6 * time.Second)

	dead := ask("kill")
	var alone sync.WaitGroup
	alone.Add(1)
	go func() {
		defer alone.Done()
		run("failover_stays_listed", func() (outcome, error) { return failoverStays(seen, service, dead) })
	}()
	run("failover_register", func() (outcome, error) { return outcome{}, register(everywhere, service, group, 52, 1, nil, true) })
	run("failover_list", func() (outcome, error) {
		// A client of its own, with all three in its list: what an application sees that starts now.
		return outcome{}, eventually("the new instance", 10*time.Second, func() bool {
			hosts, err := cached(connect(nodes...), service, group)
			return err == nil && find(hosts, 52) != nil
		})
	})
	run("failover_event", func() (outcome, error) {
		ms, err := seen.change("an instance", func() error { return register(everywhere, service, group, 53, 1, nil, true) }, with(first+53))
		return outcome{ms, "change made with one node dead"}, err
	})
	alone.Wait()
	ask("restart")
	run("failover_restarted_node", func() (outcome, error) {
		return outcome{}, eventually("all four on the restarted node", 10*time.Second, func() bool {
			hosts, err := list(dead, service)
			return err == nil && find(hosts, 50) != nil && find(hosts, 51) != nil && find(hosts, 52) != nil && find(hosts, 53) != nil
		})
	})
}

func failoverStays(seen *watch, service, dead string) (outcome, error) {
	for start := time.Now(); time.Since(start) < 40*time.Second; time.Sleep(3 * time.Second) {
		for _, node := range nodes {
			if node == dead {
				continue
			}
			hosts, err := list(node, service)
			if err != nil {
				return outcome{}, err
			}
			for _, offset := range []uint64{50, 51} {
				if found := find(hosts, offset); found == nil || !found.Healthy {
					return outcome{}, fmt.Errorf("%s lists %+v", node, hosts)
				}
			}
		}
	}
	return outcome{0, "on both survivors, healthy, for 40 s"}, seen.leftOut(first+50, first+51)
}

// mixed does what the runner says, for the scenario in which all clients share one service.
func mixed() {
	client := connect(nodes...)
	service := "compat-mixed-" + word
	for {
		words := strings.Fields(ask("next"))
		hosts := []string{}
		var err error
		switch words[0] {
		case "end":
			return
		case "register":
			weight, bad := strconv.ParseFloat(words[2], 64)
			if bad != nil {
				panic(bad)
			}
			err = register(client, service, "", number(words[1]), weight, nil, true)
		case "deregister":
			err = deregister(client, service, "", number(words[1]), true)
		case "list":
			var found []model.Instance
			found, err = cached(client, service, "")
			for _, host := range found {
				hosts = append(hosts, fmt.Sprintf("%d/%s/%t", host.Port, strconv.FormatFloat(host.Weight, 'f', -1, 64), host.Healthy))
			}
			sort.Strings(hosts)
		}
		if err != nil {
			say(map[string]interface{}{"done": words[0], "error": err.Error()})
		} else {
			say(map[string]interface{}{"done": words[0], "hosts": hosts})
		}
	}
}

// checkVersion refuses to speak for another version than the one built in.
func checkVersion() {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == "github.com/nacos-group/nacos-sdk-go" && dependency.Version == "v"+os.Getenv("COMPAT_VERSION") {
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
	map[string]func(){"steps": steps, "failover": failover, "mixed": mixed, "hold": hold}[os.Args[1]]()
	os.Exit(0)
}
