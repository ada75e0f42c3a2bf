package weir.bench.flink;

import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.state.rocksdb.RocksDBConfigurableOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import weir.bench.events.Progress;

/**
 * Deduplication by keyed state without a time to live, both profiles' filters, hourly sums by account, exactly-once
 * checkpoints. Arguments: hashmap or rocksdb, and clickhouse where the kept events go into a table as well.
 */
public final class FlinkPeer {
    /** Account, key, timestamp in µs, bytes. Flink writes tuples between operators without reflection. */
    static final TypeInformation<Tuple4<String, String, Long, Long>> EVENT = TypeInformation.of(new TypeHint<>() {});

    private FlinkPeer() {}

    public static void main(String[] arguments) throws Exception {
        Progress.start();
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings(arguments[0]));
        env.enableCheckpointing(10_000, CheckpointingMode.EXACTLY_ONCE);
        KafkaSource<Tuple4<String, String, Long, Long>> source = KafkaSource
                .<Tuple4<String, String, Long, Long>>builder()
                .setBootstrapServers(System.getenv("BENCH_KAFKA"))
                .setTopics(System.getenv("BENCH_TOPIC"))
                .setGroupId(System.getenv("BENCH_GROUP"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(KafkaRecordDeserializationSchema.valueOnly(new EventSchema()))
                .setProperty("max.poll.records", "5000")
                .build();
        WatermarkStrategy<Tuple4<String, String, Long, Long>> watermarks = WatermarkStrategy
                .<Tuple4<String, String, Long, Long>>forBoundedOutOfOrderness(Duration.ofMinutes(1))
                .withTimestampAssigner((event, appended) -> event.f2 / 1000);
        SingleOutputStreamOperator<Tuple4<String, String, Long, Long>> kept = env
                .fromSource(source, watermarks, "events")
                .keyBy(event -> event.f1)
                .process(new Deduplication())
                .returns(EVENT);
        sums(kept);
        if (arguments.length > 1) {
            kept.sinkTo(new ClickHouseSink());
        }
        env.execute("usage");
    }

    private static void sums(DataStream<Tuple4<String, String, Long, Long>> kept) {
        kept.keyBy(event -> event.f0)
                .window(TumblingEventTimeWindows.of(Duration.ofHours(1)))
                .aggregate(new HourlySums())
                .sinkTo(new DiscardingSink<>());
    }

    private static Configuration settings(String backend) {
        Configuration settings = new Configuration();
        settings.set(StateBackendOptions.STATE_BACKEND, backend);
        settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        Path checkpoints = Path.of(System.getenv("BENCH_FOLDER"), "checkpoints");
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        settings.set(PipelineOptions.OBJECT_REUSE, true);
        if (backend.equals("rocksdb")) {
            settings.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
            // Nine of ten look-ups are of keys that are not there: the filters answer them.
            settings.set(RocksDBConfigurableOptions.USE_BLOOM_FILTER, true);
            // Block cache and write buffers; a local environment has 128 MiB else.
            settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(1024));
        }
        return settings;
    }
}
