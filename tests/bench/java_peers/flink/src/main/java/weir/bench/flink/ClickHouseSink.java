package weir.bench.flink;

import java.io.IOException;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.java.tuple.Tuple4;

/**
 * Rows into BENCH_TABLE: an insert at 50,000 rows, a second after the last one, and at each checkpoint. At least once,
 * as a sink without two phases is: a restart from a checkpoint inserts again what came after it.
 */
final class ClickHouseSink implements Sink<Tuple4<String, String, Long, Long>> {
    private static final long serialVersionUID = 1;
    private static final int ROWS = 50_000;
    private static final long FLUSH_MS = 1_000;

    @Override
    public SinkWriter<Tuple4<String, String, Long, Long>> createWriter(WriterInitContext context) {
        return new Writer(context.getProcessingTimeService());
    }

    private static final class Writer implements SinkWriter<Tuple4<String, String, Long, Long>> {
        private final RowBlock block = new RowBlock();
        private final ProcessingTimeService clock;
        private long flushedMs;

        Writer(ProcessingTimeService clock) {
            this.clock = clock;
            flushedMs = clock.getCurrentProcessingTime();
            clock.registerTimer(flushedMs + FLUSH_MS, this::onTimer);
        }

        private void onTimer(long now) throws IOException, InterruptedException {
            if (now - flushedMs >= FLUSH_MS) {
                flush(false);
            }
            clock.registerTimer(now + FLUSH_MS, this::onTimer);
        }

        @Override
        public void write(Tuple4<String, String, Long, Long> event, Context context)
                throws IOException, InterruptedException {
            block.add(event.f0, event.f1, event.f2, event.f3);
            if (block.rows() >= ROWS) {
                flush(false);
            }
        }

        @Override
        public void flush(boolean endOfInput) throws IOException, InterruptedException {
            block.insert();
            flushedMs = clock.getCurrentProcessingTime();
        }

        @Override
        public void close() {}
    }
}
