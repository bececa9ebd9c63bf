package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
)

// secure connects to the nodes that the runner named so, through TLS, trusting the authority that it named so.
func secure(nodes, authority string, more ...constant.TLSOption) (naming_client.INamingClient, error) {
	settings := constant.NewTLSConfig(append(more, constant.WithCA(os.Getenv(authority), ""))...)
	settings.Appointed = true // else they are looked for in the environment
	return tryConnect(strings.Split(os.Getenv(nodes), ","), constant.WithTLS(*settings))
}

// refused is well when a client cannot be had, or cannot register.
func refused(client naming_client.INamingClient, err error, service string) (outcome, error) {
	if err == nil {
		err = register(client, instance(service, 2, 1))
	}
	if err == nil {
		return outcome{}, errors.New("it registers all the same")
	}
	return outcome{0, err.Error()}, nil
}

// throughTLS does everything once more, briefly.
func throughTLS() error {
	publisher, err := secure("COMPAT_TLS", "COMPAT_TLS_CA")
	if err != nil {
		return err
	}
	subscriber, err := secure("COMPAT_TLS", "COMPAT_TLS_CA")
	if err != nil {
		return err
	}
	service := serviceName("tls")
	run("tls_register", func() (outcome, error) { return outcome{}, register(publisher, instance(service, 1, 1)) })
	run("tls_list", func() (outcome, error) {
		return outcome{}, eventually("the instance", 5*time.Second, func() bool {
			hosts, err := cached(subscriber, service)
			return err == nil && has(hosts, first+1)
		})
	})
	run("tls_push", func() (outcome, error) {
		seen, err := subscribe(subscriber, service, group)
		if err != nil {
			return outcome{}, err
		}
		ms, err := seen.change("another weight", 5*time.Second, func() error { return register(publisher, instance(service, 1, 2)) }, weighs(2))
		return outcome{ms, "publisher's call to subscriber's callback"}, err
	})
	run("tls_refuses_unknown_ca", func() (outcome, error) {
		client, err := secure("COMPAT_TLS", "COMPAT_TLS_OTHER_CA")
		return refused(client, err, service)
	})
	run("tls_mutual", func() (outcome, error) {
		own := constant.WithCertificate(os.Getenv("COMPAT_TLS_CERT"), os.Getenv("COMPAT_TLS_KEY"))
		client, err := secure("COMPAT_TLS_MUTUAL", "COMPAT_TLS_CA", own)
		if err != nil {
			return outcome{}, err
		}
		return outcome{0, "with a certificate, at a node that asks for one"}, register(client, instance(service, 3, 1))
	})
	run("tls_mutual_refuses", func() (outcome, error) {
		client, err := secure("COMPAT_TLS_MUTUAL", "COMPAT_TLS_CA")
		return refused(client, err, service)
	})
	return nil
}
