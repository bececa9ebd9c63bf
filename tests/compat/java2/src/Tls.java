import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import java.util.Properties;

/** Connections inside TLS, against nodes at COMPAT_TLS whose certificate is of the authority in COMPAT_TLS_CA. 2.0.x has no TLS. */
final class Tls {
    private Tls() {}

    static void play() throws Exception {
        String[] nodes = System.getenv("COMPAT_TLS").split(",");
        String authority = System.getenv("COMPAT_TLS_CA");
        String service = "compat-java2-tls-" + Clients.RUN;
        NamingService publisher = connect(authority, nodes[0]);
        NamingService subscriber = connect(authority, nodes[nodes.length - 1]);
        boolean there = Report.run("tls_register", () -> {
            publisher.registerInstance(service, Clients.GROUP, Clients.instance(80));
            return null;
        });
        if (there) {
            Report.run("tls_list", () -> {
                Report.eventually("listed", 5000, () -> Clients.listed(subscriber, service, 80));
                return null;
            });
            Watch seen = new Watch(subscriber, service, Clients.GROUP);
            Thread.sleep(1500);
            Report.run("tls_push", () -> {
                NamingService second = connect(authority, nodes[0]);
                double ms = seen.told("an instance", () -> second.registerInstance(service, Clients.GROUP, Clients.instance(81)),
                        hosts -> Watch.has(hosts, Clients.PORT + 81));
                return new Report.Outcome(ms, "publisher and subscriber inside TLS");
            });
        }
        Report.run("tls_refuses_unknown_ca", () -> {
            try {
                connect(System.getenv("COMPAT_TLS_OTHER_CA"), nodes[0]).registerInstance(service, Clients.GROUP, Clients.instance(82));
            } catch (NacosException refused) {
                return refused.getErrMsg();
            }
            throw new Report.Failed("registered at a node whose certificate it cannot check");
        });
    }

    private static NamingService connect(String authority, String node) throws NacosException {
        Properties properties = Clients.properties(node);
        properties.put("nacos.remote.client.rpc.tls.enable", "true");
        // Without this word the client takes any certificate.
        properties.put("nacos.remote.client.rpc.tls.trustAll", "false");
        // A bare path is one inside the class path.
        properties.put("nacos.remote.client.rpc.tls.trustCollectionChainPath", "file:" + authority);
        return NacosFactory.createNamingService(properties);
    }
}
