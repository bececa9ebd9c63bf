import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;

/**
 * Nodes whose clocks stand apart: the second of the three is 5 s ahead, the third 5 s behind. No change may be lost, also by who moves
 * from the one to the other: this client calls no listener for a list that is older than the one it has.
 */
final class Skew {
    private static final String AHEAD = Clients.NODES[1];
    private static final String BEHIND = Clients.NODES[2];
    /** In 2.0.x a callback of one client comes to all clients of the process, so each subscriber has a service of its own. */
    private static final String MOVED = "compat-skew-java2-" + Clients.RUN + "-moved";
    private static final String PINNED = "compat-skew-java2-" + Clients.RUN + "-pinned";

    private Skew() {}

    static void play() throws Exception {
        List<NamingService> publishers = new ArrayList<>();
        for (String node : Clients.NODES) {
            publishers.add(Clients.connect(node));
            for (String service : new String[] {MOVED, PINNED}) {
                register(publishers, publishers.size() - 1, service, 1);
            }
        }
        NamingService mover = startedAhead();
        NamingService movingPublisher = startedAhead();
        movingPublisher.registerInstance(PINNED, Clients.GROUP, weighing(83, 1));
        Watch moved = new Watch(mover, MOVED, Clients.GROUP);
        Watch pinned = new Watch(Clients.connect(BEHIND), PINNED, Clients.GROUP);
        Report.eventually("all listed", 10000, () -> moved.hosts.size() == 3 && pinned.hosts.size() == 4);

        Report.run("skew_ahead", () -> changes(publishers, MOVED, moved, 2));
        Report.run("skew_behind", () -> changes(publishers, PINNED, pinned, 3));
        String gone = Report.ask("stop");
        long start = System.nanoTime();
        Report.run("skew_moves", () -> {
            Report.eventually("both on the node behind", 15000,
                    () -> BEHIND.equals(Clients.node(mover)) && BEHIND.equals(Clients.node(movingPublisher)));
            register(publishers, 0, MOVED, 40);
            Report.eventually("a change after the move", 15000, () -> weighs(40).test(moved.hosts));
            return new Report.Outcome(Report.since(start), "from 5 s ahead to 5 s behind, until the first change is heard of there");
        });
        Report.run("skew_moved", () -> changes(publishers.subList(0, 1), MOVED, moved, 50));
        Report.run("skew_moved_publisher", () -> {
            double ms = pinned.told("its update", () -> movingPublisher.registerInstance(PINNED, Clients.GROUP, weighing(83, 60)), weighs(60));
            return new Report.Outcome(ms, "an instance first published 5 s ahead is updated 5 s behind");
        });
        Report.ask("start");
        Report.run("skew_returned", () -> {
            Watch back = new Watch(Clients.connect(gone), PINNED, Clients.GROUP);
            Report.eventually("those that live", 10000, () -> Arrays.asList(80, 82, 83).stream().allMatch(number -> back.has(Clients.PORT + number)));
            pinned.unsubscribe();
            return changes(publishers.subList(0, 1), PINNED, back, 70);
        });
    }

    private static NamingService startedAhead() throws Exception {
        for (int tries = 0; tries < 40; tries++) {
            NamingService client = Clients.connect(AHEAD, BEHIND);
            Report.eventually("a connection", 5000, () -> Clients.node(client) != null);
            if (AHEAD.equals(Clients.node(client))) {
                return client;
            }
            client.shutDown();
        }
        throw new Report.Failed("of 40 clients none began with the node ahead");
    }

    private static Instance weighing(int number, double weight) {
        Instance instance = Clients.instance(number);
        instance.setWeight(weight);
        return instance;
    }

    private static Predicate<List<Instance>> weighs(double weight) {
        return hosts -> hosts.stream().anyMatch(host -> host.getWeight() == weight);
    }

    private static void register(List<NamingService> publishers, int at, String service, double weight) throws Exception {
        publishers.get(at).registerInstance(service, Clients.GROUP, weighing(80 + at, weight));
    }

    /** Each publisher in turn makes two changes, each to be heard of by {@code seen}. */
    private static Report.Outcome changes(List<NamingService> publishers, String service, Watch seen, int begin) throws Exception {
        List<Double> taken = new ArrayList<>();
        for (int round = 0; round < 2; round++) {
            for (int at = 0; at < publishers.size(); at++) {
                double weight = begin * 10 + round * 3 + at + 0.5;
                int publisher = at;
                taken.add(seen.told("a change", () -> register(publishers, publisher, service, weight), weighs(weight)));
                Thread.sleep(100);
            }
        }
        return Report.times(taken);
    }
}
