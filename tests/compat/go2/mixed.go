package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// mixed does what the runner says, for the scenario in which all clients share one service.
func mixed() error {
	client := connect(nodes...)
	service := "compat-mixed-" + os.Getenv("COMPAT_RUN")
	for {
		words := strings.Fields(ask("next"))
		hosts := []string{}
		var err error
		switch words[0] {
		case "end":
			return nil
		case "register":
			weight, bad := strconv.ParseFloat(words[2], 64)
			if bad != nil {
				return bad
			}
			param := instance(service, number(words[1]), weight)
			param.GroupName = ""
			err = register(client, param)
		case "deregister":
			_, err = client.DeregisterInstance(vo.DeregisterInstanceParam{Ip: ip, Port: first + number(words[1]), ServiceName: service, Ephemeral: true})
		case "list":
			found, failed := client.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: service})
			err = failed
			for _, host := range found {
				hosts = append(hosts, fmt.Sprintf("%d/%s/%t", host.Port, strconv.FormatFloat(host.Weight, 'f', -1, 64), host.Healthy))
			}
			sort.Strings(hosts)
		}
		if err != nil {
			say(map[string]any{"done": words[0], "error": err.Error()})
		} else {
			say(map[string]any{"done": words[0], "hosts": hosts})
		}
	}
}
