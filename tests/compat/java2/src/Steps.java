import static java.util.Arrays.asList;

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.ListView;
import java.io.File;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/**
 * Everything that all versions can do. A client of these versions has one record a service on its connection: registering a second
 * instance replaces the first, so each instance of a service here has a client of its own.
 */
final class Steps {
    /** The connection's loss is the death: nobody waits for a beat that does not come. */
    private static final double GONE_WITHIN_MS = 2000;
    /** A connection that nobody closes and nobody answers on: asked after 20 s of silence, and 5 s given to answer; the rest is for a slow machine. */
    private static final double SILENT_WITHIN_MS = 35000;

    private final NamingService publisher = Clients.connect(Clients.NODES[0]);
    private final NamingService second = Clients.connect(Clients.NODES[0]);
    private final NamingService subscriber = Clients.connect(Clients.NODES[1]);
    private final NamingService third = Clients.connect(Clients.NODES[2]);
    private final String service = "compat-java2-" + Clients.RUN;

    private Steps() throws Exception {}

    static void play() throws Exception {
        new Steps().all();
    }

    private void all() throws Exception {
        Watch seen = new Watch(subscriber, service, Clients.GROUP);
        // The thread that calls listeners looks once a second for the first of them; that second is not the server's.
        Thread.sleep(1500);
        Report.run("subscribe_before_it_exists", () -> {
            Instance first = Clients.instance(1);
            first.setMetadata(Clients.map("zone", "a", "text", "ä b&c=d"));
            double ms = seen.told("the first instance", () -> publisher.registerInstance(service, Clients.GROUP, first),
                    hosts -> Watch.has(hosts, Clients.PORT + 1));
            return new Report.Outcome(ms, "subscribed, then registered on another node");
        });
        Report.run("get_all_instances", () -> {
            Report.eventually("the instance on another node", 5000, () -> Clients.listed(third, service, 1));
            Instance found = Clients.list(third, service).get(0);
            Report.check("ä b&c=d".equals(found.getMetadata().get("text")), "metadata came back as " + found.getMetadata());
            Report.check((Clients.GROUP + "@@" + service).equals(found.getServiceName()), "service name came back as " + found.getServiceName());
            Report.check(found.isEphemeral() && found.isHealthy() && found.getWeight() == 1.0, found.toString());
            // It lists what it first heard until it is pushed to.
            Report.eventually("the instance in the subscribing form", 5000, () -> subscriber.getAllInstances(service, Clients.GROUP).size() == 1);
            return "instance id " + found.getInstanceId();
        });
        Report.run("subscribe_when_it_exists", this::subscribeLate);
        Report.run("update_seen", () -> {
            Instance changed = Clients.instance(1);
            changed.setWeight(3.5);
            changed.setMetadata(Clients.map("zone", "b"));
            double ms = seen.told("weight and metadata", () -> publisher.registerInstance(service, Clients.GROUP, changed), hosts ->
                    hosts.size() == 1 && hosts.get(0).getWeight() == 3.5 && "b".equals(hosts.get(0).getMetadata().get("zone")));
            return new Report.Outcome(ms, "the same instance registered again, told on another node");
        });
        Report.ask("turn");
        Report.run("push_times", () -> pushTimes(seen));
        Report.print("{\"ask\":\"turn_over\"}");

        List<Thread> aside = new ArrayList<>();
        aside.add(aside(this::held));
        aside.add(aside(this::persistent));
        aside.add(aside(() -> Extra.steps(publisher, subscriber, third)));
        selecting();
        clusters();
        Report.run("unsubscribe", this::unsubscribe);
        Report.run("namespace", this::namespace);
        Report.run("credentials", this::credentials);
        Report.run("server_status", () -> {
            Report.check("UP".equals(subscriber.getServerStatus()), subscriber.getServerStatus());
            return null;
        });
        Report.run("services_of_server", () -> {
            ListView<String> found = third.getServicesOfServer(1, 1000, Clients.GROUP);
            Report.check(found.getData().contains(service) && found.getCount() == found.getData().size(), found.toString());
            return found.getCount() + " names";
        });
        Report.run("deregister_last", () -> {
            double ms = seen.told("an empty list", () -> publisher.deregisterInstance(service, Clients.GROUP, Clients.IP, Clients.PORT + 1),
                    List::isEmpty);
            Thread.sleep(4000);
            // The client's own redo looks every 3 s for what it ought to have registered.
            Report.check(seen.hosts.isEmpty() && Clients.list(third, service).isEmpty(), "back within 4 s");
            return new Report.Outcome(ms, "the last instance leaves: an empty list on another node");
        });
        for (Thread thread : aside) {
            thread.join();
        }
    }

    /** Steps beside the others; a step that fails says so itself. */
    private static Thread aside(Watch.Change steps) {
        Thread thread = new Thread(() -> {
            try {
                steps.make();
            } catch (Exception error) {
                error.printStackTrace();
            }
        });
        thread.start();
        return thread;
    }

    /** On a client that has no cache of the service yet, a new listener is called with what there is. */
    private Report.Outcome subscribeLate() throws Exception {
        String late = "compat-java2-late-" + Clients.RUN;
        second.registerInstance(late, Clients.GROUP, Clients.instance(2));
        Report.eventually("listed", 5000, () -> Clients.listed(third, late, 2));
        long start = System.nanoTime();
        Watch watch = new Watch(third, late, Clients.GROUP);
        Report.eventually("called with the present list", 5000, () -> watch.has(Clients.PORT + 2));
        double ms = Report.since(start);
        second.deregisterInstance(late, Clients.GROUP, Clients.IP, Clients.PORT + 2);
        Report.eventually("told of its leaving", 5000, () -> watch.hosts.isEmpty());
        watch.unsubscribe();
        return new Report.Outcome(ms, "from subscribing to the first callback");
    }

    private Report.Outcome pushTimes(Watch seen) throws Exception {
        List<Double> taken = new ArrayList<>();
        for (int round = 0; round < 10; round++) {
            Thread.sleep(700);
            int number = 10 + round / 2;
            taken.add(round % 2 == 0
                    ? seen.told("a new instance", () -> second.registerInstance(service, Clients.GROUP, Clients.instance(number)),
                            hosts -> Watch.has(hosts, Clients.PORT + number))
                    : seen.told("a gone instance", () -> second.deregisterInstance(service, Clients.GROUP, Clients.IP, Clients.PORT + number),
                            hosts -> !Watch.has(hosts, Clients.PORT + number)));
        }
        return Report.times(taken);
    }

    private void selecting() {
        Report.run("select_instances", () -> {
            Report.check(subscriber.selectInstances(service, Clients.GROUP, true).size() == 1, "healthy ones");
            Report.check(subscriber.selectInstances(service, Clients.GROUP, false).isEmpty(), "unhealthy ones");
            Report.check(third.selectInstances(service, Clients.GROUP, new ArrayList<>(), true, false).size() == 1, "asked of the node");
            return null;
        });
        Report.run("select_one_healthy", () -> {
            Instance one = subscriber.selectOneHealthyInstance(service, Clients.GROUP);
            Report.check(one != null && one.isHealthy(), String.valueOf(one));
            return one.toInetAddr();
        });
    }

    private void clusters() {
        String named = "compat-java2-clusters-" + Clients.RUN;
        Report.run("clusters", () -> {
            Watch east = new Watch(third, named, Clients.GROUP, "east");
            Instance there = Clients.instance(21);
            there.setClusterName("east");
            Instance elsewhere = Clients.instance(22);
            elsewhere.setClusterName("west");
            second.registerInstance(named, Clients.GROUP, elsewhere);
            double ms = east.told("the one in the east", () -> publisher.registerInstance(named, Clients.GROUP, there),
                    hosts -> Watch.has(hosts, Clients.PORT + 21));
            Thread.sleep(1000);
            Report.check(east.hosts.size() == 1, "the callback lists " + east.hosts);
            Report.eventually("both, on another node", 5000, () -> Clients.list(subscriber, named).size() == 2);
            List<Instance> one = subscriber.getAllInstances(named, Clients.GROUP, asList("west"), false);
            Report.check(one.size() == 1 && one.get(0).getPort() == Clients.PORT + 22, "west lists " + one);
            List<Instance> two = subscriber.getAllInstances(named, Clients.GROUP, asList("east", "west"), false);
            Report.check(two.size() == 2, "east and west list " + two);
            List<Instance> none = subscriber.getAllInstances(named, Clients.GROUP, asList("north"), false);
            Report.check(none.isEmpty(), "north lists " + none);
            second.deregisterInstance(named, Clients.GROUP, elsewhere);
            publisher.deregisterInstance(named, Clients.GROUP, there);
            east.unsubscribe();
            return new Report.Outcome(ms, "callback of a subscriber to one cluster of two");
        });
    }

    private String unsubscribe() throws Exception {
        String named = "compat-java2-unsubscribe-" + Clients.RUN;
        Watch watch = new Watch(third, named, Clients.GROUP);
        watch.told("an instance", () -> second.registerInstance(named, Clients.GROUP, Clients.instance(25)),
                hosts -> Watch.has(hosts, Clients.PORT + 25));
        watch.unsubscribe();
        Thread.sleep(1000);
        int before = watch.calls;
        second.deregisterInstance(named, Clients.GROUP, Clients.instance(25));
        Report.eventually("gone where it is asked", 5000, () -> Clients.list(third, named).isEmpty());
        Thread.sleep(1500);
        Report.check(watch.calls == before, "called " + (watch.calls - before) + " times after unsubscribing");
        return "a change after it calls nobody";
    }

    private String namespace() throws Exception {
        String named = "compat-java2-namespace-" + Clients.RUN;
        Properties here = Clients.properties(Clients.NODES[0]);
        here.put(PropertyKeyConst.NAMESPACE, "compat-namespace");
        Properties there = Clients.properties(Clients.NODES[1]);
        there.put(PropertyKeyConst.NAMESPACE, "compat-namespace");
        NamingService within = NacosFactory.createNamingService(here);
        NamingService listening = NacosFactory.createNamingService(there);
        Watch watch = new Watch(listening, named, Clients.GROUP);
        watch.told("an instance", () -> within.registerInstance(named, Clients.GROUP, Clients.instance(27)),
                hosts -> Watch.has(hosts, Clients.PORT + 27));
        Report.check(Clients.list(third, named).isEmpty(), "seen from the namespace public");
        within.deregisterInstance(named, Clients.GROUP, Clients.instance(27));
        within.shutDown();
        listening.shutDown();
        return "told within it, not seen outside";
    }

    /** Many have a name and a password in their settings; a server that asks for none has to let them in all the same. */
    private String credentials() throws Exception {
        String named = "compat-java2-credentials-" + Clients.RUN;
        Properties properties = Clients.properties(Clients.NODES[0]);
        properties.put(PropertyKeyConst.USERNAME, "nacos");
        properties.put(PropertyKeyConst.PASSWORD, "nacos");
        NamingService client = NacosFactory.createNamingService(properties);
        client.registerInstance(named, Clients.GROUP, Clients.instance(28));
        Report.eventually("listed", 5000, () -> Clients.listed(third, named, 28));
        client.shutDown();
        Report.eventually("gone with its client", 2000, () -> !Clients.listed(third, named, 28));
        return "registered; closing the client takes its instance along";
    }

    private void persistent() throws Exception {
        String named = "compat-java2-persistent-" + Clients.RUN;
        // The server may probe a persistent instance by TCP, so something must listen there.
        ServerSocket listening = new ServerSocket(Clients.PORT + 30, 5, InetAddress.getByName(Clients.IP));
        Instance persistent = Clients.instance(30);
        persistent.setEphemeral(false);
        Watch watch = new Watch(third, named, Clients.GROUP);
        boolean there = Report.run("persistent_register", () -> {
            double ms = watch.told("the persistent instance", () -> publisher.registerInstance(named, Clients.GROUP, persistent),
                    hosts -> Watch.has(hosts, Clients.PORT + 30));
            Report.check(!Clients.list(third, named).get(0).isEphemeral(), "listed as " + Clients.list(third, named));
            return new Report.Outcome(ms, "told on another node");
        });
        if (there) {
            Report.run("persistent_deregister", () -> {
                double ms = watch.told("gone", () -> publisher.deregisterInstance(named, Clients.GROUP, persistent), List::isEmpty);
                return new Report.Outcome(ms, "told on another node");
            });
        }
        listening.close();
    }

    /** A client in a process of its own: frozen, let go on, killed. */
    private void held() throws Exception {
        String named = "compat-java2-held-" + Clients.RUN;
        Watch watch = new Watch(third, named, Clients.GROUP);
        ProcessBuilder builder = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp", System.getProperty("java.class.path"),
                "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "Client", "hold");
        builder.environment().put("HOLD_SERVICE", named);
        builder.redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.redirectOutput(new File("/dev/null"));
        Process child = builder.start();
        try {
            Report.run("frozen_client_removed", () -> {
                Report.eventually("the held instance", 30000, () -> watch.has(Clients.PORT + 5));
                Thread.sleep(3000);
                Report.check(child.isAlive(), "the process to be frozen ended by itself");
                Report.check(watch.has(Clients.PORT + 5), "gone before its client was frozen");
                signal(child, "STOP");
                long start = System.nanoTime();
                Report.eventually("gone", (long) SILENT_WITHIN_MS, () -> watch.hosts.isEmpty());
                return new Report.Outcome(Report.since(start), "SIGSTOP of the client, to a third client's callback");
            });
            Report.run("frozen_client_returns", () -> {
                signal(child, "CONT");
                long start = System.nanoTime();
                Report.eventually("registered again", 20000, () -> watch.has(Clients.PORT + 5));
                return new Report.Outcome(Report.since(start), "SIGCONT of the client, by itself");
            });
            Report.run("killed_client_removed", () -> {
                Thread.sleep(2000);
                Report.check(watch.has(Clients.PORT + 5), "gone before its client was killed");
                child.destroyForcibly();
                long start = System.nanoTime();
                Report.eventually("gone", 30000, () -> watch.hosts.isEmpty());
                double ms = Report.since(start);
                Report.check(ms < GONE_WITHIN_MS, "told after " + Math.round(ms) + " ms");
                return new Report.Outcome(ms, "kill -9 of the client, to a third client's callback");
            });
        } finally {
            child.destroyForcibly();
        }
    }

    private static void signal(Process process, String name) throws Exception {
        int status = new ProcessBuilder("kill", "-" + name, String.valueOf(process.pid())).inheritIO().start().waitFor();
        Report.check(status == 0, "kill -" + name + " says " + status);
    }
}
