package compat;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.web.client.RestTemplate;

/** An application that calls another by its name. */
public final class Consumer {
    private final DiscoveryClient discovery;
    private final RestTemplate template;

    private Consumer(DiscoveryClient discovery, RestTemplate template) {
        this.discovery = discovery;
        this.template = template;
    }

    static Consumer start(String... settings) {
        SpringApplication application = new SpringApplication(Configured.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        ConfigurableApplicationContext context = application.run(settings);
        return new Consumer(context.getBean(DiscoveryClient.class), context.getBean(RestTemplate.class));
    }

    /** How many instances the discovery client lists now. */
    int listed(String name) {
        return discovery.getInstances(name).size();
    }

    String call(String name) {
        return template.getForObject("http://" + name + "/who", String.class);
    }

    /** What an application declares to have its calls go by name. */
    @Configuration(proxyBeanMethods = false)
    @EnableAutoConfiguration
    static class Configured {
        @Bean
        @LoadBalanced
        RestTemplate template() {
            SimpleClientHttpRequestFactory calls = new SimpleClientHttpRequestFactory();
            calls.setConnectTimeout(1000);
            calls.setReadTimeout(2000);
            return new RestTemplate(calls);
        }
    }
}
