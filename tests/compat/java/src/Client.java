import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingMaintainService;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.ListView;
import com.alibaba.nacos.api.naming.pojo.Service;
import com.alibaba.nacos.common.utils.VersionUtils;
import java.io.File;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;

/**
 * The Java client against a cluster of three: {@code Client steps|failover|mixed|tls|hold}. Settings come in the environment:
 * COMPAT_NODES=a,b,c COMPAT_RUN=word COMPAT_IP=address COMPAT_PORT=first port of its own COMPAT_VERSION=x.y.z
 */
public final class Client {
    private static final String[] NODES = System.getenv("COMPAT_NODES").split(",");
    private static final String RUN = System.getenv("COMPAT_RUN");
    private static final String IP = System.getenv("COMPAT_IP");
    private static final int PORT = Integer.parseInt(System.getenv("COMPAT_PORT"));
    /** A group of its own, so that grouped names are exercised; the deregistering call sends no group beside them. */
    private static final String GROUP = "compat-java";

    private Client() {}

    public static void main(String[] args) throws Exception {
        String version = System.getenv("COMPAT_VERSION");
        Report.check(VersionUtils.version.equals(version), "the client on the class path is " + VersionUtils.version + ", not " + version);
        switch (args[0]) {
            case "steps":
                Report.listen();
                steps();
                break;
            case "failover":
                Report.listen();
                failover();
                break;
            case "mixed":
                Report.listen();
                mixed();
                break;
            case "tls":
                Report.listen();
                tls();
                break;
            default:
                hold();
        }
        // The client's threads are daemons but for some of its HTTP library's.
        System.exit(0);
    }

    private static Properties properties(String... nodes) {
        Properties properties = new Properties();
        properties.put(PropertyKeyConst.SERVER_ADDR, String.join(",", nodes));
        return properties;
    }

    private static NamingService connect(String... nodes) throws NacosException {
        return NacosFactory.createNamingService(properties(nodes));
    }

    private static Instance instance(int number) {
        Instance instance = new Instance();
        instance.setIp(IP);
        instance.setPort(PORT + number);
        return instance;
    }

    private static Map<String, String> map(String... pairs) {
        Map<String, String> map = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            map.put(pairs[at], pairs[at + 1]);
        }
        return map;
    }

    private static List<Instance> list(NamingService client, String service, String group) throws NacosException {
        return client.getAllInstances(service, group, false);
    }

    private static boolean listed(NamingService client, String service, String group, int number) throws NacosException {
        return Watch.has(list(client, service, group), PORT + number);
    }

    private static void steps() throws Exception {
        NamingService publisher = connect(NODES[0]);
        NamingService subscriber = connect(NODES[1]);
        NamingService third = connect(NODES[2]);
        String service = "compat-java-" + RUN;

        Report.run("register", () -> {
            Instance first = instance(1);
            first.setMetadata(map("zone", "a", "text", "ä b&c=d"));
            publisher.registerInstance(service, GROUP, first);
            return null;
        });
        Report.run("get_all_instances", () -> {
            Report.eventually("the instance on another node", 5000, () -> listed(third, service, GROUP, 1));
            Instance found = list(third, service, GROUP).get(0);
            Report.check("ä b&c=d".equals(found.getMetadata().get("text")), "metadata came back as " + found.getMetadata());
            Report.check((GROUP + "@@" + service).equals(found.getServiceName()), "service name came back as " + found.getServiceName());
            Report.check(found.isEphemeral() && found.isHealthy() && found.getWeight() == 1.0, found.toString());
            // It lists what it first heard until it is pushed to.
            Report.eventually("the instance in the subscribing form", 5000, () -> subscriber.getAllInstances(service, GROUP).size() == 1);
            return "instance id " + found.getInstanceId();
        });
        Watch seen = new Watch(subscriber, service, GROUP);
        Report.run("subscribe_event", () -> {
            // What the client holds already, as here by the call above, it calls no listener for: the next change is the first. And
            // its thread for listeners looks once a second for the first of them; that second is not the server's.
            Thread.sleep(1500);
            double ms = seen.told("the second instance", () -> publisher.registerInstance(service, GROUP, instance(2)),
                    hosts -> Watch.has(hosts, PORT + 2));
            return new Report.Outcome(ms, "second instance, registered on another node");
        });
        Report.ask("turn");
        Report.run("push_times", () -> pushTimes(publisher, seen, service));
        Report.print("{\"ask\":\"turn_over\"}");

        Thread beats = Report.start("light_beats", () -> lightBeats(publisher, third, seen, service));
        Thread again = Report.start("light_beat_registers_again", () -> registersAgain(publisher, third));
        Thread killed = new Thread(() -> killed(seen, service));
        killed.start();

        Report.run("select_one_healthy", () -> {
            Instance one = subscriber.selectOneHealthyInstance(service, GROUP);
            Report.check(one != null && one.isHealthy(), String.valueOf(one));
            return one.toInetAddr();
        });
        Report.run("server_status", () -> {
            Report.check("UP".equals(subscriber.getServerStatus()), subscriber.getServerStatus());
            return null;
        });
        Report.run("services_of_server", () -> {
            ListView<String> found = third.getServicesOfServer(1, 1000, GROUP);
            Report.check(found.getData().contains(service) && found.getCount() == found.getData().size(), found.toString());
            return null;
        });
        maintain(publisher, seen, service);
        persistent(publisher, third);
        Report.run("deregister", () -> {
            double ms = seen.told("the deregistered instance", () -> publisher.deregisterInstance(service, GROUP, IP, PORT + 2),
                    hosts -> !Watch.has(hosts, PORT + 2));
            long start = System.nanoTime();
            while (Report.since(start) < 12000) {
                for (NamingService client : Arrays.asList(publisher, third)) {
                    Report.check(!listed(client, service, GROUP, 2), "back " + Math.round(Report.since(start)) + " ms after it left");
                }
                Thread.sleep(500);
            }
            return new Report.Outcome(ms, "gone at once, and for two beats after");
        });
        for (Thread thread : Arrays.asList(beats, again, killed)) {
            thread.join();
        }
    }

    private static Report.Outcome pushTimes(NamingService publisher, Watch seen, String service) throws Exception {
        List<Double> taken = new ArrayList<>();
        for (int round = 0; round < 10; round++) {
            Thread.sleep(700);
            int number = 10 + round / 2;
            taken.add(round % 2 == 0
                    ? seen.told("a new instance", () -> publisher.registerInstance(service, GROUP, instance(number)),
                            hosts -> Watch.has(hosts, PORT + number))
                    : seen.told("a gone instance", () -> publisher.deregisterInstance(service, GROUP, IP, PORT + number),
                            hosts -> !Watch.has(hosts, PORT + number)));
            Report.check(taken.get(round) < 5000, "came by polling: " + taken);
        }
        return Report.times(taken);
    }

    /** The client drops the body of its beats once a server allows it; only its own flag tells that it did. */
    private static String lightBeats(NamingService publisher, NamingService third, Watch seen, String service) throws Exception {
        Thread.sleep(6000);
        Field reactor = publisher.getClass().getDeclaredField("beatReactor");
        reactor.setAccessible(true);
        Field light = reactor.get(publisher).getClass().getDeclaredField("lightBeatEnabled");
        light.setAccessible(true);
        Report.check(light.getBoolean(reactor.get(publisher)), "after the first beat the client still sends full ones");
        long start = System.nanoTime();
        while (Report.since(start) < 35000) {
            List<Instance> hosts = list(third, service, GROUP);
            Report.check(hosts.stream().anyMatch(host -> host.getPort() == PORT + 1 && host.isHealthy()), "not held: " + hosts);
            Thread.sleep(1000);
        }
        Report.check(!seen.shrunk.contains(PORT + 1), "a callback left it out");
        return "listed healthy for 35 s by light beats";
    }

    /** Somebody else deregisters a living instance: its next light beat is answered 20404, at which it registers again. */
    private static Report.Outcome registersAgain(NamingService publisher, NamingService third) throws Exception {
        String service = "compat-java-again-" + RUN;
        publisher.registerInstance(service, GROUP, instance(20));
        Report.eventually("listed", 5000, () -> listed(third, service, GROUP, 20));
        Thread.sleep(8000);
        third.deregisterInstance(service, GROUP, IP, PORT + 20);
        Report.eventually("gone on its own node", 5000, () -> !listed(publisher, service, GROUP, 20));
        long start = System.nanoTime();
        Report.eventually("registered again", 15000, () -> listed(third, service, GROUP, 20));
        return new Report.Outcome(Report.since(start), "deregistered by another client, back by its own beat");
    }

    private static void maintain(NamingService publisher, Watch seen, String service) throws Exception {
        NamingMaintainService maintain = NacosFactory.createMaintainService(properties(NODES[2]));
        String made = "compat-java-made-" + RUN;
        Report.run("update_instance", () -> {
            Instance changed = instance(2);
            changed.setWeight(3.5);
            changed.setMetadata(map("zone", "b"));
            double ms = seen.told("weight and metadata", () -> maintain.updateInstance(service, GROUP, changed), hosts ->
                    hosts.stream().anyMatch(host -> host.getPort() == PORT + 2 && host.getWeight() == 3.5
                            && "b".equals(host.getMetadata().get("zone"))));
            Thread.sleep(6000);
            Report.check(list(publisher, service, GROUP).stream().anyMatch(host -> host.getPort() == PORT + 2 && host.getWeight() == 3.5),
                    "a beat undid it");
            return new Report.Outcome(ms, "and it outlives the next beat");
        });
        Report.run("create_service", () -> {
            maintain.createService(made, GROUP, 0.3f);
            return null;
        });
        Report.run("query_service", () -> {
            Service found = eventuallyService(maintain, made);
            Report.check(made.equals(found.getName()) && GROUP.equals(found.getGroupName()), found.toString());
            Report.check(found.getProtectThreshold() == 0.3f, found.toString());
            return found.toString();
        });
        Report.run("update_service", () -> {
            maintain.updateService(made, GROUP, 0.5f, map("team", "x"));
            Report.eventually("the new threshold", 5000, () -> maintain.queryService(made, GROUP).getProtectThreshold() == 0.5f);
            Report.check("x".equals(maintain.queryService(made, GROUP).getMetadata().get("team")), maintain.queryService(made, GROUP).toString());
            return null;
        });
        Report.run("delete_service", () -> {
            Report.check(maintain.deleteService(made, GROUP), "the answer is not ok");
            Report.eventually("no such service", 5000, () -> {
                try {
                    return maintain.queryService(made, GROUP) == null;
                } catch (NacosException gone) {
                    return true;
                }
            });
            return null;
        });
    }

    private static Service eventuallyService(NamingMaintainService maintain, String name) throws Exception {
        Service[] found = new Service[1];
        Report.eventually("the service that was made", 5000, () -> {
            try {
                found[0] = maintain.queryService(name, GROUP);
            } catch (NacosException notYet) {
                return false;
            }
            return found[0] != null;
        });
        return found[0];
    }

    private static void persistent(NamingService publisher, NamingService third) throws Exception {
        String service = "compat-java-persistent-" + RUN;
        // The server may probe a persistent instance by TCP, so something must listen there.
        ServerSocket listening = new ServerSocket(PORT + 30, 5, InetAddress.getByName(IP));
        Instance persistent = instance(30);
        persistent.setEphemeral(false);
        boolean there = Report.run("persistent_register", () -> {
            publisher.registerInstance(service, GROUP, persistent);
            Report.eventually("the persistent instance on another node", 5000, () -> listed(third, service, GROUP, 30));
            Instance found = list(third, service, GROUP).get(0);
            Report.check(!found.isEphemeral(), found.toString());
            return null;
        });
        if (there) {
            Report.run("persistent_deregister", () -> {
                publisher.deregisterInstance(service, GROUP, persistent);
                Report.eventually("gone on another node", 5000, () -> !listed(third, service, GROUP, 30));
                return null;
            });
        }
        listening.close();
    }

    private static void killed(Watch seen, String service) {
        Process[] child = new Process[1];
        long[] start = new long[1];
        boolean unhealthy = Report.run("killed_client_unhealthy", () -> {
            ProcessBuilder builder = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp",
                    System.getProperty("java.class.path"), "-Xmx128m", "Client", "hold");
            builder.environment().put("HOLD_SERVICE", service);
            builder.redirectError(ProcessBuilder.Redirect.INHERIT);
            builder.redirectOutput(new File("/dev/null"));
            child[0] = builder.start();
            Report.eventually("the held instance", 20000, () -> seen.has(PORT + 5));
            Thread.sleep(6000);
            Report.check(child[0].isAlive(), "the process to be killed ended by itself");
            child[0].destroyForcibly();
            start[0] = System.nanoTime();
            Report.eventually("unhealthy", 25000, () -> seen.hosts.stream().anyMatch(host -> host.getPort() == PORT + 5 && !host.isHealthy()));
            return new Report.Outcome(Report.since(start[0]), "kill -9 of the client, to the callback");
        });
        if (!unhealthy) {
            return;
        }
        Report.run("killed_client_removed", () -> {
            Report.eventually("removed", 40000, () -> !seen.has(PORT + 5));
            double ms = Report.since(start[0]);
            Report.check(ms > 18000 && ms < 36000, "removed after " + Math.round(ms) + " ms");
            return new Report.Outcome(ms, "kill -9 of the client, to the callback");
        });
    }

    private static void hold() throws Exception {
        connect(NODES[0]).registerInstance(System.getenv("HOLD_SERVICE"), GROUP, instance(5));
        Thread.sleep(120000);
    }

    private static void failover() throws Exception {
        NamingService everywhere = connect(NODES);
        String service = "compat-failover-java-" + RUN;
        everywhere.registerInstance(service, GROUP, instance(50));
        everywhere.registerInstance(service, GROUP, instance(51));
        Watch seen = new Watch(connect(NODES), service, GROUP);
        Report.eventually("both listed", 10000, () -> seen.has(PORT + 50) && seen.has(PORT + 51));
        Thread.sleep(6000);

        String dead = Report.ask("kill");
        Map<String, NamingService> survivors = new HashMap<>();
        for (String node : NODES) {
            if (!node.equals(dead)) {
                survivors.put(node, connect(node));
            }
        }
        Thread stays = Report.start("failover_stays_listed", () -> {
            long start = System.nanoTime();
            while (Report.since(start) < 40000) {
                for (Map.Entry<String, NamingService> survivor : survivors.entrySet()) {
                    List<Instance> hosts = list(survivor.getValue(), service, GROUP);
                    for (int wanted : new int[] {PORT + 50, PORT + 51}) {
                        Report.check(hosts.stream().anyMatch(host -> host.getPort() == wanted && host.isHealthy()),
                                survivor.getKey() + " lists " + hosts);
                    }
                }
                Thread.sleep(1000);
            }
            Report.check(!seen.shrunk.contains(PORT + 50) && !seen.shrunk.contains(PORT + 51), "a callback left a living instance out");
            return "on both survivors, healthy, for 40 s";
        });
        Report.run("failover_register", () -> {
            everywhere.registerInstance(service, GROUP, instance(52));
            return null;
        });
        Report.run("failover_list", () -> {
            Report.eventually("the new instance", 10000, () -> listed(everywhere, service, GROUP, 52));
            return null;
        });
        Report.run("failover_event", () -> {
            double ms = seen.told("an instance", () -> everywhere.registerInstance(service, GROUP, instance(53)),
                    hosts -> Watch.has(hosts, PORT + 53));
            return new Report.Outcome(ms, "change made with one node dead");
        });
        Report.run("failover_persistent_register", () -> {
            Instance persistent = instance(54);
            persistent.setEphemeral(false);
            int[] refused = new int[1];
            Report.eventually("a persistent registration", 10000, () -> {
                try {
                    everywhere.registerInstance(service + "-persistent", GROUP, persistent);
                    return true;
                } catch (NacosException noLeader) {
                    refused[0]++;
                    return false;
                }
            });
            return refused[0] + " refused before";
        });
        stays.join();
        Report.ask("restart");
        Report.run("failover_restarted_node", () -> {
            NamingService back = connect(dead);
            Report.eventually("all four on the restarted node", 10000, () -> {
                List<Instance> hosts = list(back, service, GROUP);
                return Arrays.asList(50, 51, 52, 53).stream().allMatch(number -> Watch.has(hosts, PORT + number));
            });
            Report.eventually("the persistent one too", 10000, () -> listed(back, service + "-persistent", GROUP, 54));
            return null;
        });
    }

    /** Does what the runner says, for the scenario in which all clients share one service. */
    private static void mixed() throws Exception {
        NamingService client = connect(NODES);
        String service = "compat-mixed-" + RUN;
        while (true) {
            String[] words = Report.ask("next").split(" ");
            try {
                List<String> hosts = Collections.emptyList();
                if (words[0].equals("end")) {
                    return;
                } else if (words[0].equals("register")) {
                    Instance instance = instance(Integer.parseInt(words[1]));
                    instance.setWeight(Double.parseDouble(words[2]));
                    client.registerInstance(service, instance);
                } else if (words[0].equals("deregister")) {
                    client.deregisterInstance(service, IP, PORT + Integer.parseInt(words[1]));
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

    /** By HTTPS. The client reads whom it trusts once, when its classes are loaded, so one process cannot try two authorities. */
    private static void tls() throws Exception {
        System.setProperty("tls.enable", "true");
        System.setProperty("tls.client.authServer", "true");
        System.setProperty("tls.client.trustCertPath", System.getenv("COMPAT_TLS_CA"));
        String[] nodes = System.getenv("COMPAT_TLS").split(",");
        NamingService publisher = connect(nodes), subscriber = connect(nodes);
        String service = "compat-java-tls-" + RUN;
        Report.run("tls_register", () -> {
            publisher.registerInstance(service, GROUP, instance(60));
            return null;
        });
        Report.run("tls_list", () -> {
            Report.eventually("the instance", 5000, () -> listed(subscriber, service, GROUP, 60));
            return null;
        });
        Watch seen = new Watch(subscriber, service, GROUP);
        Report.run("tls_push", () -> {
            // Its thread for listeners looks once a second for the first of them.
            Thread.sleep(1500);
            double ms = seen.told("a second instance", () -> publisher.registerInstance(service, GROUP, instance(61)),
                    hosts -> Watch.has(hosts, PORT + 61));
            return new Report.Outcome(ms, "publisher's call by HTTPS to subscriber's callback by UDP");
        });
    }

    private static String number(double value) {
        return value == Math.rint(value) ? String.valueOf((long) value) : String.valueOf(value);
    }
}
