package weir.bench.events;

import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;

/**
 * What the job has done so far, in the file BENCH_PROGRESS for whoever measures it: one line of five numbers, events
 * read, events that were no copies, those that "bytes" counts, the sum of "bytes", completed checkpoints.
 */
public final class Progress {
    private static final LongAdder READ = new LongAdder();
    private static final LongAdder KEPT = new LongAdder();
    private static final LongAdder COUNTED = new LongAdder();
    private static final LongAdder BYTES = new LongAdder();
    private static final LongAdder CHECKPOINTS = new LongAdder();

    private Progress() {}

    /** Reports ten times a second, in a thread of its own. */
    public static void start() {
        Path file = Path.of(System.getenv("BENCH_PROGRESS"));
        Thread reporting = new Thread(() -> report(file), "progress");
        reporting.setDaemon(true);
        reporting.start();
    }

    public static void copy() {
        READ.increment();
    }

    public static void kept(long bytes) {
        READ.increment();
        KEPT.increment();
        if (bytes != UsageEvent.NONE) {
            COUNTED.increment();
            BYTES.add(bytes);
        }
    }

    public static void checkpoint() {
        CHECKPOINTS.increment();
    }

    private static void report(Path file) {
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        try {
            while (true) {
                // What was kept is read first, so that no reader sees more kept than read.
                long kept = KEPT.sum();
                long[] numbers = {READ.sum(), kept, COUNTED.sum(), BYTES.sum(), CHECKPOINTS.sum()};
                Files.writeString(fresh, Arrays.stream(numbers).mapToObj(Long::toString).collect(joining(" ")));
                Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
                Thread.sleep(100);
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
