import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What a client program says to the runner: one JSON line a step; its questions go the same way, answers come on standard input. */
final class Report {
    interface Body {
        /** The detail of the step, or an {@link Outcome} where it measured for itself. */
        Object run() throws Exception;
    }

    interface Probe {
        boolean met() throws Exception;
    }

    static final class Outcome {
        final double ms;
        final String detail;

        Outcome(double ms, String detail) {
            this.ms = ms;
            this.detail = detail;
        }
    }

    static final class Failed extends Exception {
        private static final long serialVersionUID = 1;

        Failed(String message) {
            super(message);
        }
    }

    /** What the program calls itself in its lines. */
    private static final String CLIENT = System.getProperty("compat.client", "java");
    private static final String VERSION = System.getenv("COMPAT_VERSION");
    private static final BlockingQueue<String> ANSWERS = new LinkedBlockingQueue<>();

    private Report() {}

    static void listen() {
        Thread thread = new Thread(() -> {
            try (BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
                for (String line = input.readLine(); line != null; line = input.readLine()) {
                    ANSWERS.add(line);
                }
            } catch (IOException ignored) {
                // The runner is gone, as at the end of its output.
            }
            Runtime.getRuntime().halt(3);
        });
        thread.setDaemon(true);
        thread.start();
    }

    static synchronized void print(String json) {
        System.out.println(json);
        System.out.flush();
    }

    static String quote(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : String.valueOf(text).toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(' ');
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    static void step(String step, boolean ok, double ms, String detail) {
        print(String.format(Locale.ROOT, "{\"client\":%s,\"version\":%s,\"step\":%s,\"result\":\"%s\",\"ms\":%.1f,\"detail\":%s}",
                quote(CLIENT), quote(VERSION), quote(step), ok ? "ok" : "fail", ms, quote(detail)));
    }

    static boolean run(String step, Body body) {
        long start = System.nanoTime();
        try {
            Object outcome = body.run();
            if (outcome instanceof Outcome) {
                step(step, true, ((Outcome) outcome).ms, ((Outcome) outcome).detail);
            } else {
                step(step, true, since(start), outcome == null ? "" : outcome.toString());
            }
            return true;
        } catch (Throwable error) {
            step(step, false, since(start), error.toString());
            return false;
        }
    }

    static Thread start(String step, Body body) {
        Thread thread = new Thread(() -> run(step, body));
        thread.start();
        return thread;
    }

    static String ask(String what) throws InterruptedException {
        print("{\"ask\":" + quote(what) + "}");
        return ANSWERS.take();
    }

    static double since(long startNanos) {
        return (System.nanoTime() - startNanos) / 1e6;
    }

    static void check(boolean condition, String message) throws Failed {
        if (!condition) {
            throw new Failed(message);
        }
    }

    static void eventually(String what, long withinMs, Probe probe) throws Exception {
        long start = System.nanoTime();
        while (!probe.met()) {
            check(since(start) < withinMs, what + ": not within " + withinMs + " ms");
            Thread.sleep(20);
        }
    }

    static Outcome times(List<Double> taken) {
        List<Double> sorted = new ArrayList<>(taken);
        Collections.sort(sorted);
        double p50 = sorted.get((sorted.size() - 1) / 2);
        return new Outcome(p50, String.format(Locale.ROOT, "n=%d p50=%.1f max=%.1f", sorted.size(), p50, sorted.get(sorted.size() - 1)));
    }
}
