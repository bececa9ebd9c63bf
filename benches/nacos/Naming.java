import com.alibaba.nacos.core.code.ControllerMethodsCache;
import javax.annotation.PostConstruct;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.actuate.autoconfigure.security.servlet.ManagementWebSecurityAutoConfiguration;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.security.servlet.SecurityAutoConfiguration;
import org.springframework.boot.autoconfigure.security.servlet.UserDetailsServiceAutoConfiguration;
import org.springframework.scheduling.annotation.EnableScheduling;

/**
 * Nacos's naming server without its console, which is not on Maven Central and has the main class. What that one does for naming
 * is done here: it scans the modules, lets requests past Spring's own login, and tells Nacos's filters of the controllers, as they
 * answer 501 to a path that they have not been told of.
 */
@EnableScheduling
@SpringBootApplication(
        scanBasePackages = {"com.alibaba.nacos.naming", "com.alibaba.nacos.core", "com.alibaba.nacos.auth"},
        exclude = {
            SecurityAutoConfiguration.class,
            UserDetailsServiceAutoConfiguration.class,
            ManagementWebSecurityAutoConfiguration.class
        })
public class Naming {
    private final ControllerMethodsCache methods;

    public Naming(ControllerMethodsCache methods) {
        this.methods = methods;
    }

    @PostConstruct
    public void tellControllers() {
        methods.initClassMethod("com.alibaba.nacos.naming.controllers");
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Naming.class, arguments);
    }
}
