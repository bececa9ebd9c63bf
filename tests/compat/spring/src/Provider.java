package compat;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A web application as anybody writes one. That it is registered is Spring Cloud's doing: nothing in here says so. */
@Configuration(proxyBeanMethods = false)
@EnableAutoConfiguration
@RestController
public class Provider {
    public static void main(String[] args) {
        SpringApplication.run(Provider.class, args);
    }

    @GetMapping("/who")
    public String who() {
        return System.getenv("PROVIDER");
    }
}
