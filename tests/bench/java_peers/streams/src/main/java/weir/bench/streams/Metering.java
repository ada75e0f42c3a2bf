package weir.bench.streams;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import weir.bench.events.EventReader;
import weir.bench.events.Progress;
import weir.bench.events.UsageEvent;

/** One event: forgotten where its key is in the store, else remembered and added to its account's hour. */
final class Metering implements Processor<Bytes, byte[], Void, Void> {
    private static final long HOUR_US = 3_600_000_000L;
    private static final byte[] MARK = {1};

    private final EventReader reader = new EventReader();
    private final UsageEvent event = new UsageEvent();
    private KeyValueStore<Bytes, byte[]> seen;
    private KeyValueStore<Bytes, byte[]> sums;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        seen = context.getStateStore(StreamsPeer.SEEN);
        sums = context.getStateStore(StreamsPeer.SUMS);
    }

    @Override
    public void process(Record<Bytes, byte[]> record) {
        if (seen.putIfAbsent(record.key(), MARK) != null) {
            Progress.copy();
            return;
        }
        try {
            reader.read(record.value(), event);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        add();
        Progress.kept(event.bytes);
    }

    private void add() {
        byte[] account = event.account.getBytes(StandardCharsets.UTF_8);
        ByteBuffer key = ByteBuffer.allocate(account.length + Long.BYTES);
        Bytes place = Bytes.wrap(key.put(account).putLong(event.timestampUs / HOUR_US).array());
        byte[] before = sums.get(place);
        long plays = before == null ? 0 : ByteBuffer.wrap(before).getLong();
        long bytes = before == null ? 0 : ByteBuffer.wrap(before).getLong(Long.BYTES);
        long more = event.bytes == UsageEvent.NONE ? 0 : event.bytes;
        sums.put(place, ByteBuffer.allocate(2 * Long.BYTES).putLong(plays + 1).putLong(bytes + more).array());
    }
}
