package compat;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The consumer in this process, providers in processes of their own: {@code Play steps|failover|stop}. All are given the cluster's addresses and
 * their names; everything else is as Spring Cloud Alibaba has it. One thing is not: the load balancer keeps a list for 35 s unless told
 * otherwise, and here 1 s, so that what is measured is discovery.
 */
public final class Play {
    private static final String NODES = "--spring.cloud.nacos.discovery.server-addr=" + System.getenv("COMPAT_NODES");
    private static final String NAME = "compat-spring-" + System.getenv("COMPAT_RUN");
    private static final int STARTS_WITHIN_MS = 60000;

    private final List<Process> providers = new ArrayList<>();
    private Consumer consumer;

    private Play() {}

    public static void main(String[] args) throws Exception {
        Report.listen();
        Play play = new Play();
        try {
            switch (args[0]) {
                case "steps":
                    play.steps();
                    break;
                case "failover":
                    play.moving("failover", "kill", "restart");
                    break;
                case "stop":
                    play.moving("stop", "stop", "start");
                    break;
                default:
                    throw new IllegalArgumentException(args[0]);
            }
        } finally {
            play.providers.forEach(Process::destroyForcibly);
        }
        System.exit(0);
    }

    private void steps() throws Exception {
        long start = System.nanoTime();
        provider("first");
        consumer();
        boolean there = Report.run("provider_starts", () -> {
            Report.eventually("one instance", STARTS_WITHIN_MS, () -> consumer.listed(NAME) == 1);
            return new Report.Outcome(Report.since(start), "from the process's start until the consumer lists it");
        });
        if (!there) {
            return;
        }
        Report.run("call_by_name", () -> {
            Report.check(consumer.call(NAME).equals("first"), "another one answered");
            return null;
        });
        Report.run("second_provider", () -> {
            provider("second");
            long seen = listed(2);
            Set<String> who = new HashSet<>();
            Report.eventually("both called", 10000, () -> who.add(consumer.call(NAME)) && who.size() == 2);
            return new Report.Outcome(Report.since(seen), "both called, after both were listed");
        });
        Report.run("killed_provider", () -> {
            providers.get(0).destroyForcibly();
            long killed = System.nanoTime();
            long seen = listed(1);
            double listed = (seen - killed) / 1e6;
            int[] failed = new int[1];
            int[] well = new int[1];
            Report.eventually("calls go on", 10000, () -> {
                try {
                    well[0] = consumer.call(NAME).equals("second") ? well[0] + 1 : 0;
                } catch (RuntimeException stale) {
                    // The load balancer's list is a second old at most.
                    failed[0]++;
                    well[0] = 0;
                }
                return well[0] == 20;
            });
            Report.check(listed < 2000, "listed for " + Math.round(listed) + " ms after kill -9");
            return new Report.Outcome(listed, "kill -9 until no longer listed; " + failed[0] + " calls failed, all well "
                    + Math.round(Report.since(killed)) + " ms after it");
        });
        Report.run("provider_stops", () -> {
            long stopped = System.nanoTime();
            providers.get(1).destroy();
            return new Report.Outcome((listed(0) - stopped) / 1e6, "SIGTERM until no longer listed");
        });
        Report.run("call_without_provider", () -> {
            Report.eventually("refused", 5000, () -> {
                try {
                    consumer.call(NAME);
                    return false;
                } catch (IllegalStateException none) {
                    return true;
                } catch (RuntimeException stale) {
                    return false;
                }
            });
            return "the consumer says that there is none";
        });
    }

    /** A node goes, and applications that were connected to it or not call each other as if nothing were. */
    private void moving(String kind, String end, String begin) throws Exception {
        provider("first");
        provider("second");
        consumer();
        listed(2);
        Thread.sleep(3000);
        Report.ask(end);
        Report.run(kind + "_calls_go_on", () -> calls(20000));
        Report.ask(begin);
        Report.run(kind + "_calls_go_on_after", () -> calls(5000));
    }

    /** None may fail, both providers have to be among those that answer, and neither may be missing from the list for a moment. */
    private Object calls(int forMs) throws Exception {
        Map<String, Integer> answered = new TreeMap<>();
        long start = System.nanoTime();
        while (Report.since(start) < forMs) {
            answered.merge(consumer.call(NAME), 1, Integer::sum);
            Report.check(consumer.listed(NAME) == 2, Math.round(Report.since(start)) + " ms after it, " + consumer.listed(NAME) + " are listed");
            Thread.sleep(20);
        }
        Report.check(answered.size() == 2, "answered: " + answered);
        return "none failed; answered: " + answered;
    }

    private void consumer() {
        consumer = Consumer.start(NODES, "--spring.application.name=" + NAME + "-consumer", "--spring.cloud.loadbalancer.cache.ttl=1s",
                "--spring.main.banner-mode=off", "--logging.level.root=warn");
    }

    /** When so many were listed. */
    private long listed(int many) throws Exception {
        Report.eventually(many + " instances", STARTS_WITHIN_MS, () -> consumer.listed(NAME) == many);
        return System.nanoTime();
    }

    private void provider(String who) throws IOException {
        List<String> words = Arrays.asList(System.getProperty("java.home") + "/bin/java", "-Xmx128m", "-Xss512k", "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), "compat.Provider", NODES, "--spring.application.name=" + NAME,
                "--server.port=0");
        ProcessBuilder builder = new ProcessBuilder(words);
        builder.environment().put("PROVIDER", who);
        String logs = System.getenv("COMPAT_LOGS");
        builder.redirectErrorStream(true).redirectOutput(new File(logs == null ? "." : logs, "spring-provider-" + who + ".log"));
        providers.add(builder.start());
    }
}
