package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// A group of its own, so that grouped names are exercised.
const group = "compat-go2"

var (
	nodes  = strings.Split(os.Getenv("COMPAT_NODES"), ",")
	ip     = os.Getenv("COMPAT_IP")
	first  = number(os.Getenv("COMPAT_PORT"))
	caches atomic.Uint64
)

func number(text string) uint64 {
	value, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return value
}

func serviceName(word string) string { return "compat-go2-" + word + "-" + os.Getenv("COMPAT_RUN") }

func tryConnect(to []string, options ...constant.ClientOption) (naming_client.INamingClient, error) {
	var servers []constant.ServerConfig
	for _, node := range to {
		host, port, err := net.SplitHostPort(node)
		if err != nil {
			return nil, err
		}
		servers = append(servers, *constant.NewServerConfig(host, number(port)))
	}
	// A cache folder of its own: the client would else start from what another one wrote.
	cache := fmt.Sprintf("%s/go2-cache/%d-%d", os.Getenv("COMPAT_LOGS"), os.Getpid(), caches.Add(1))
	options = append(options, constant.WithNotLoadCacheAtStart(true), constant.WithCacheDir(cache), constant.WithTimeoutMs(5000),
		constant.WithLogDir(os.Getenv("COMPAT_LOGS")+"/go2-"+os.Args[1]), constant.WithLogLevel("info"))
	return clients.NewNamingClient(vo.NacosClientParam{ClientConfig: constant.NewClientConfig(options...), ServerConfigs: servers})
}

func connect(to ...string) naming_client.INamingClient {
	client, err := tryConnect(to)
	if err != nil {
		panic(err)
	}
	return client
}

// instance is one of this program's, with everything that the client does not fill in by itself.
func instance(service string, offset uint64, weight float64) vo.RegisterInstanceParam {
	return vo.RegisterInstanceParam{Ip: ip, Port: first + offset, ServiceName: service, GroupName: group, Weight: weight,
		Enable: true, Healthy: true, Ephemeral: true}
}

func register(client naming_client.INamingClient, param vo.RegisterInstanceParam) error {
	done, err := client.RegisterInstance(param)
	if err == nil && !done {
		err = errors.New("the answer is not true")
	}
	return err
}

func deregister(client naming_client.INamingClient, service string, offset uint64, ephemeral bool) error {
	done, err := client.DeregisterInstance(vo.DeregisterInstanceParam{Ip: ip, Port: first + offset, ServiceName: service, GroupName: group, Ephemeral: ephemeral})
	if err == nil && !done {
		err = errors.New("the answer is not true")
	}
	return err
}

func cached(client naming_client.INamingClient, service string, clusters ...string) ([]model.Instance, error) {
	return client.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: service, GroupName: group, Clusters: clusters})
}

// list asks a server anew: this client lists from its cache alone, so each question takes a client of its own.
func list(service string, to ...string) ([]model.Instance, error) {
	client, err := tryConnect(to)
	if err != nil {
		return nil, err
	}
	defer client.CloseClient()
	return cached(client, service)
}

// connections says to which port each TCP connection of this process leads, by the connection's own port.
func connections() map[uint64]uint64 {
	own := map[string]bool{}
	files, _ := os.ReadDir("/proc/self/fd")
	for _, file := range files {
		target, _ := os.Readlink("/proc/self/fd/" + file.Name())
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	end := func(address string) uint64 {
		port, _ := strconv.ParseUint(address[strings.LastIndex(address, ":")+1:], 16, 16)
		return port
	}
	found := map[uint64]uint64{}
	for _, path := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		table, _ := os.ReadFile(path)
		for _, line := range strings.Split(string(table), "\n") {
			// The fourth field is the state, 01 established; the tenth the socket's inode.
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "01" && own[fields[9]] {
				found[end(fields[1])] = end(fields[2])
			}
		}
	}
	return found
}

func grpcPort(node string) uint64 { return number(node[strings.LastIndex(node, ":")+1:]) + 1000 }

// led counts the connections to these nodes.
func led(to ...string) int {
	count := 0
	for _, port := range connections() {
		for _, node := range to {
			if port == grpcPort(node) {
				count++
			}
		}
	}
	return count
}

type placed struct {
	naming_client.INamingClient
	node string
}

// spread makes clients that know all of `known` until `each` of them are on every one of `wanted`: the client chooses at random.
func spread(known, wanted []string, each int) ([]placed, error) {
	var made []placed
	on := map[string]int{}
	for range 60 {
		full := true
		for _, node := range wanted {
			full = full && on[node] >= each
		}
		if full {
			return made, nil
		}
		before := connections()
		client, err := tryConnect(known)
		if err != nil {
			return nil, err
		}
		node := ""
		err = eventually("a connection", 5*time.Second, func() bool {
			for own, port := range connections() {
				for _, each := range known {
					if _, old := before[own]; !old && port == grpcPort(each) {
						node = each
					}
				}
			}
			return node != ""
		})
		if err != nil {
			return nil, err
		}
		needed := false
		for _, each := range wanted {
			needed = needed || each == node
		}
		if !needed || on[node] >= each {
			client.CloseClient()
			continue
		}
		on[node]++
		made = append(made, placed{client, node})
	}
	return nil, errors.New("sixty clients did not come to all nodes")
}
