import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** Connections and instances, as all scenarios make them, and the settings that come in the environment. */
final class Clients {
    static final String[] NODES = System.getenv("COMPAT_NODES").split(",");
    static final String VERSION = System.getenv("COMPAT_VERSION");
    /** In every name, so that neither a former run nor another version is in the way. */
    static final String RUN = VERSION.replaceAll("\\D.*", "") + VERSION.replaceAll("\\W", "") + "-" + System.getenv("COMPAT_RUN");
    static final String IP = System.getenv("COMPAT_IP");
    static final int PORT = Integer.parseInt(System.getenv("COMPAT_PORT"));
    static final String GROUP = "compat-java2";

    private Clients() {}

    static Properties properties(String... nodes) {
        Properties properties = new Properties();
        properties.put(PropertyKeyConst.SERVER_ADDR, String.join(",", nodes));
        return properties;
    }

    static NamingService connect(String... nodes) throws NacosException {
        return NacosFactory.createNamingService(properties(nodes));
    }

    static Instance instance(int number) {
        Instance instance = new Instance();
        instance.setIp(IP);
        instance.setPort(PORT + number);
        return instance;
    }

    static Map<String, String> map(String... pairs) {
        Map<String, String> map = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            map.put(pairs[at], pairs[at + 1]);
        }
        return map;
    }

    /** What a node answers now, without the client's cache. */
    static List<Instance> list(NamingService client, String service) throws NacosException {
        return client.getAllInstances(service, GROUP, new ArrayList<>(), false);
    }

    static boolean listed(NamingService client, String service, int number) throws NacosException {
        return Watch.has(list(client, service), PORT + number);
    }

    /** The node that a client's connection leads to, or nothing while it has none: no method of the API tells. */
    static String node(NamingService client) throws ReflectiveOperationException {
        Object at = client;
        for (String name : new String[] {"clientProxy", "grpcClientProxy", "rpcClient", "currentConnection", "serverInfo"}) {
            at = field(at, name);
            if (at == null) {
                return null;
            }
        }
        return at.getClass().getMethod("getAddress").invoke(at).toString();
    }

    private static Object field(Object of, String name) throws ReflectiveOperationException {
        for (Class<?> kind = of.getClass(); kind != null; kind = kind.getSuperclass()) {
            try {
                Field field = kind.getDeclaredField(name);
                field.setAccessible(true);
                return field.get(of);
            } catch (NoSuchFieldException inherited) {
                // The class above it has it.
            }
        }
        throw new NoSuchFieldException(name);
    }

    /** A client a node, each knowing all three: which one a client begins with is its own random choice. */
    static Map<String, NamingService> oneOnEach() throws Exception {
        Map<String, NamingService> found = new HashMap<>();
        for (int tries = 0; found.size() < NODES.length; tries++) {
            Report.check(tries < 60, "after 60 clients only " + found.keySet() + " have one");
            NamingService client = connect(NODES);
            // The connection is made by the constructor in some versions, by a thread in others.
            Report.eventually("a connection", 5000, () -> node(client) != null);
            if (found.putIfAbsent(node(client), client) != null) {
                client.shutDown();
            }
        }
        return found;
    }
}
