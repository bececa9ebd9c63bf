package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
)

// secure connects through TLS, trusting `authority` and showing a certificate of its own.
func secure(authority string) (naming_client.INamingClient, error) {
	settings := constant.NewTLSConfig(constant.WithCA(authority, ""), constant.WithCertificate(os.Getenv("COMPAT_TLS_CERT"), os.Getenv("COMPAT_TLS_KEY")))
	settings.Appointed = true // else they are looked for in the environment
	return tryConnect(strings.Split(os.Getenv("COMPAT_TLS"), ","), constant.WithTLS(*settings))
}

// throughTLS does everything once more, briefly.
func throughTLS() error {
	publisher, err := secure(os.Getenv("COMPAT_TLS_CA"))
	if err != nil {
		return err
	}
	subscriber, err := secure(os.Getenv("COMPAT_TLS_CA"))
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
		client, err := secure(os.Getenv("COMPAT_TLS_OTHER_CA"))
		if err != nil {
			return outcome{0, err.Error()}, nil
		}
		if err := register(client, instance(service, 2, 1)); err == nil {
			return outcome{}, errors.New("it registers in spite of another authority")
		}
		return outcome{0, "every call fails"}, nil
	})
	return nil
}
