package weir.bench.flink;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import weir.bench.events.Progress;

/** Lets the first event of a key pass, for ever. */
final class Deduplication
        extends KeyedProcessFunction<String, Tuple4<String, String, Long, Long>, Tuple4<String, String, Long, Long>>
        implements CheckpointListener {
    private static final long serialVersionUID = 1;

    private transient ValueState<Boolean> seen;

    @Override
    public void open(OpenContext context) {
        seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Types.BOOLEAN));
    }

    @Override
    public void processElement(
            Tuple4<String, String, Long, Long> event,
            Context context,
            Collector<Tuple4<String, String, Long, Long>> out)
            throws Exception {
        if (seen.value() != null) {
            Progress.copy();
            return;
        }
        seen.update(Boolean.TRUE);
        out.collect(event);
        Progress.kept(event.f3);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        Progress.checkpoint();
    }
}
