package weir.bench.flink;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple4;
import weir.bench.events.UsageEvent;

/** Both profiles of an account and hour: plays, bytes. */
final class HourlySums
        implements AggregateFunction<Tuple4<String, String, Long, Long>, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private static final long serialVersionUID = 1;

    @Override
    public Tuple2<Long, Long> createAccumulator() {
        return Tuple2.of(0L, 0L);
    }

    @Override
    public Tuple2<Long, Long> add(Tuple4<String, String, Long, Long> event, Tuple2<Long, Long> sums) {
        sums.f0 += 1;
        if (event.f3 != UsageEvent.NONE) {
            sums.f1 += event.f3;
        }
        return sums;
    }

    @Override
    public Tuple2<Long, Long> getResult(Tuple2<Long, Long> sums) {
        return sums;
    }

    @Override
    public Tuple2<Long, Long> merge(Tuple2<Long, Long> left, Tuple2<Long, Long> right) {
        return Tuple2.of(left.f0 + right.f0, left.f1 + right.f1);
    }
}
