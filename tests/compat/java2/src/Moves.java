import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A node goes, killed or stopped, and clients that are connected to it move: their instances stay listed all the while, on the other
 * nodes and in every callback, and their subscriptions go on. A provider and a subscriber stand on each node, so it does not matter
 * which one goes. Every subscriber has a service of its own: in 2.0.x a callback of one client comes to all clients of the process.
 */
final class Moves {
    private static final int WATCHED_MS = 20000;
    /** A client that lost its node and finds no other: its instances have to leave 30 s after the node's last word. A stopping node speaks on. */
    private static final int LOST_WITHIN_MS = 35000;
    private static final int STOPPING_MS = 10000;
    /** The client tries again for 3 s by itself; an election takes 2 s at most. */
    private static final int ANSWERED_WITHIN_MS = 10000;

    private final String kind;
    private final Map<String, NamingService> providers = Clients.oneOnEach();
    private final Map<String, NamingService> subscribers = Clients.oneOnEach();
    private final Map<String, Watch> watches = new HashMap<>();
    private final List<Integer> ports = new ArrayList<>();

    private Moves(String kind) throws Exception {
        this.kind = kind;
        for (String node : Clients.NODES) {
            watches.put(node, new Watch(subscribers.get(node), service(node), Clients.GROUP));
        }
        for (String node : Clients.NODES) {
            int number = 50 + number(node);
            ports.add(Clients.PORT + number);
            for (String named : Clients.NODES) {
                providers.get(node).registerInstance(service(named), Clients.GROUP, Clients.instance(number));
            }
        }
        Report.eventually("all listed", 10000, () -> watches.values().stream().allMatch(watch -> ports.stream().allMatch(watch::has)));
        Thread.sleep(3000);
    }

    static void failover() throws Exception {
        new Moves("failover").play("kill", "restart");
    }

    static void stop() throws Exception {
        new Moves("stop").play("stop", "start");
    }

    private static int number(String node) {
        return Arrays.asList(Clients.NODES).indexOf(node);
    }

    /** The service that the subscriber on this node watches. */
    private String service(String node) {
        return "compat-" + kind + "-java2-" + Clients.RUN + "-" + number(node);
    }

    private void play(String end, String begin) throws Exception {
        Map<String, NamingService> direct = new HashMap<>();
        for (String node : Clients.NODES) {
            direct.put(node, Clients.connect(node));
            direct.get(node).registerInstance(service(node) + "-lost", Clients.GROUP, Clients.instance(57));
        }
        Extra.Following following = new Extra.Following(kind, subscribers);
        String gone = Report.ask(end);
        long start = System.nanoTime();
        direct.remove(gone);
        String named = service(gone);

        Thread stays = Report.start(kind + "_stays_listed", () -> staysListed(direct, named));
        NamingService survivor = direct.values().iterator().next();
        Thread lost = Report.start(kind + "_lost_client_removed", () -> {
            Report.eventually("removed", LOST_WITHIN_MS + (kind.equals("stop") ? STOPPING_MS : 0), () -> Clients.list(survivor, named + "-lost").isEmpty());
            return new Report.Outcome(Report.since(start), "its client knows no other node");
        });
        Thread moves = Report.start(kind + "_moves", () -> moves(gone, start));
        Report.run(kind + "_event", () -> {
            Watch watch = watches.get(gone);
            double ms = watch.told("an instance", () -> survivor.registerInstance(named, Clients.GROUP, Clients.instance(53)),
                    hosts -> Watch.has(hosts, Clients.PORT + 53));
            return new Report.Outcome(ms, "to the subscriber that has to move");
        });
        Report.run(kind + "_register", () -> {
            int refused = registered(providers.get(gone), named + "-new", Clients.instance(54));
            Report.eventually("listed", 5000, () -> Clients.listed(survivor, named + "-new", 54));
            return "by the provider that has to move, " + refused + " refused before";
        });
        Report.run(kind + "_persistent_register", () -> {
            Instance persistent = Clients.instance(55);
            persistent.setEphemeral(false);
            return registered(subscribers.get(gone), named + "-persistent", persistent) + " refused before";
        });
        moves.join();
        following.goesOn(gone, survivor);
        stays.join();
        lost.join();
        Report.ask(begin);
        Report.run(kind + "_restarted_node", () -> {
            NamingService back = Clients.connect(gone);
            Report.eventually("all on the restarted node", 10000, () -> {
                List<Instance> hosts = Clients.list(back, named);
                return hosts.size() == 4 && ports.stream().allMatch(port -> Watch.has(hosts, port)) && Watch.has(hosts, Clients.PORT + 53);
            });
            Report.eventually("the persistent one too", 10000, () -> Clients.listed(back, named + "-persistent", 55));
            back.registerInstance(named + "-back", Clients.GROUP, Clients.instance(56));
            Report.eventually("the lost client's", 20000, () -> Clients.listed(survivor, named + "-lost", 57));
            return "and the client that knows no other node has come back by itself";
        });
    }

    private String staysListed(Map<String, NamingService> direct, String named) throws Exception {
        long start = System.nanoTime();
        int asked = 0;
        while (Report.since(start) < WATCHED_MS) {
            for (Map.Entry<String, NamingService> survivor : direct.entrySet()) {
                List<Instance> hosts = Clients.list(survivor.getValue(), named);
                for (int port : ports) {
                    Report.check(hosts.stream().anyMatch(host -> host.getPort() == port && host.isHealthy()),
                            Math.round(Report.since(start)) + " ms after it, " + survivor.getKey() + " lists " + hosts);
                }
                asked++;
            }
            Thread.sleep(100);
        }
        for (Map.Entry<String, Watch> watch : watches.entrySet()) {
            Report.check(ports.stream().noneMatch(watch.getValue().shrunk::contains),
                    "a callback of the subscriber of " + watch.getKey() + " left out " + watch.getValue().shrunk);
        }
        return "on both others, healthy, " + asked + " times asked in " + WATCHED_MS / 1000 + " s; no callback left any out";
    }

    private Report.Outcome moves(String gone, long start) throws Exception {
        List<NamingService> both = Arrays.asList(providers.get(gone), subscribers.get(gone));
        List<String> taken = new ArrayList<>();
        for (NamingService client : both) {
            Report.eventually("on another node", WATCHED_MS, () -> {
                String node = Clients.node(client);
                return node != null && !node.equals(gone);
            });
            taken.add(String.valueOf(Math.round(Report.since(start))));
        }
        return new Report.Outcome(Report.since(start), "provider and subscriber, by themselves, " + String.join(" and ", taken) + " ms after it");
    }

    /** How often it was refused before it was taken: while a client has no connection it says so rather than wait. */
    private static int registered(NamingService client, String named, Instance instance) throws Exception {
        int[] refused = new int[1];
        Report.eventually("a registration", ANSWERED_WITHIN_MS, () -> {
            try {
                client.registerInstance(named, Clients.GROUP, instance);
                return true;
            } catch (NacosException notNow) {
                refused[0]++;
                Thread.sleep(100);
                return false;
            }
        });
        return refused[0];
    }
}
