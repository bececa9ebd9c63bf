import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.common.utils.VersionUtils;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The Java clients of 2.x and 3.x against a cluster of three: {@code Client steps|failover|stop|skew|tls|mixed|hold}. Settings come in the
 * environment: COMPAT_NODES=a,b,c COMPAT_RUN=word COMPAT_IP=address COMPAT_PORT=first port of its own COMPAT_VERSION=x.y.z
 */
public final class Client {
    private Client() {}

    public static void main(String[] args) throws Exception {
        Report.check(VersionUtils.version.equals(Clients.VERSION),
                "the client on the class path is " + VersionUtils.version + ", not " + Clients.VERSION);
        if (!args[0].equals("hold")) {
            Report.listen();
        }
        switch (args[0]) {
            case "steps":
                Steps.play();
                break;
            case "failover":
                Moves.failover();
                break;
            case "stop":
                Moves.stop();
                break;
            case "skew":
                Skew.play();
                break;
            case "tls":
                Tls.play();
                break;
            case "mixed":
                mixed();
                break;
            default:
                Clients.connect(Clients.NODES[0]).registerInstance(System.getenv("HOLD_SERVICE"), Clients.GROUP, Clients.instance(5));
                Thread.sleep(120000);
        }
        // The client leaves threads that are no daemons.
        System.exit(0);
    }

    /** Does what the runner says, for the scenario in which all clients share one service. */
    private static void mixed() throws Exception {
        NamingService client = Clients.connect(Clients.NODES);
        String service = "compat-mixed-" + System.getenv("COMPAT_RUN");
        while (true) {
            String[] words = Report.ask("next").split(" ");
            try {
                List<String> hosts = Collections.emptyList();
                if (words[0].equals("end")) {
                    return;
                } else if (words[0].equals("register")) {
                    Instance instance = Clients.instance(Integer.parseInt(words[1]));
                    instance.setWeight(Double.parseDouble(words[2]));
                    client.registerInstance(service, instance);
                } else if (words[0].equals("deregister")) {
                    client.deregisterInstance(service, Clients.IP, Clients.PORT + Integer.parseInt(words[1]));
                } else {
                    hosts = client.getAllInstances(service).stream()
                            .map(host -> host.getPort() + "/" + number(host.getWeight()) + "/" + host.isHealthy())
                            .sorted().map(Report::quote).collect(Collectors.toList());
                }
                Report.print("{\"done\":" + Report.quote(words[0]) + ",\"hosts\":[" + String.join(",", hosts) + "]}");
            } catch (NacosException error) {
                Report.print("{\"done\":" + Report.quote(words[0]) + ",\"error\":" + Report.quote(error.toString()) + "}");
            }
        }
    }

    private static String number(double value) {
        return value == Math.rint(value) ? String.valueOf((long) value) : String.valueOf(value);
    }
}
