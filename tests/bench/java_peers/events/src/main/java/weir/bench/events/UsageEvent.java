package weir.bench.events;

/** What the peers keep of an event. */
public final class UsageEvent {
    /** The value of {@link #bytes} where the profile "bytes" does not count the event. */
    public static final long NONE = -1;

    public String account;
    public String key;
    public long timestampUs;
    /** What the profile "bytes" adds: the property n of events of the USA, else {@link #NONE}. */
    public long bytes;
}
