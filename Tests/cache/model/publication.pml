/*
 * The publication protocol of the shared cache under a view-based C11 memory model.
 *
 * Every location keeps all its messages. A load takes any message that is not older than what the
 * thread has seen of that location: that is all the order relaxed accesses have. A message carries
 * a view: a release store the writer's, a relaxed store the writer's at its last release fence. An
 * acquire load joins the view of the message; a relaxed load only remembers it for the next
 * acquire fence. One writer; the reader runs its lookup at every point of the writer's work, and
 * the writer may stop (be killed) anywhere, because nothing obliges it to go on.
 *
 * Checked: what a reader returns is what was put under the stamp it saw, and nothing whose
 * invalidation was acknowledged before the lookup began.
 * -DBREAK_x removes one protection each; each must be found out.
 */

/* Locations: version words of two descriptors, the two words of the extent they take turns in,
   the invalidation stamp, and the acknowledgement that travels outside the cache. */
#define BORN_A 0
#define BORN_B 1
#define WORD_0 2
#define WORD_1 3
#define INVALID 4
#define ACK 5
#define LOCATIONS 6
#define MESSAGES 8

typedef view { byte at[LOCATIONS] };
typedef message { byte value; view seen };
typedef history { message m[MESSAGES]; byte last };

history h[LOCATIONS];
view written;   /* the writer's own view: everything it stored */
view fenced;    /* the same at its last release fence */

#define MAX(a, b) ((a) > (b) -> (a) : (b))

inline join(into, from) {
    for (j : 0 .. LOCATIONS - 1) { into.at[j] = MAX(into.at[j], from.at[j]) }
}

inline append(location, v, base) {
    d_step {
        h[location].last++;
        written.at[location] = h[location].last;
        h[location].m[h[location].last].value = v;
        for (j : 0 .. LOCATIONS - 1) { h[location].m[h[location].last].seen.at[j] = base.at[j] }
        h[location].m[h[location].last].seen.at[location] = h[location].last;
        j = 0
    }
}
inline store_relaxed(location, v) { append(location, v, fenced) }
inline store_release(location, v) { append(location, v, written) }
inline fence_release() {
    d_step {
        for (j : 0 .. LOCATIONS - 1) { fenced.at[j] = written.at[j] }
        j = 0
    }
}

/* Any message from what was seen up to the newest. */
inline choose(location) {
    pick = mine.at[location];
    do
    :: pick < h[location].last -> pick++
    :: break
    od
}
inline load_relaxed(location, into) {
    atomic {
        choose(location);
        into = h[location].m[pick].value;
        mine.at[location] = pick;
        join(pending, h[location].m[pick].seen);
        pick = 0; j = 0
    }
}
inline load_acquire(location, into) {
    load_relaxed(location, into);
    d_step { join(mine, h[location].m[mine.at[location]].seen); j = 0 }
}
inline fence_acquire() { d_step { join(mine, pending); j = 0 } }

inline drop(descriptor) {
    store_relaxed(descriptor, 0);
#ifndef BREAK_WRITER_FENCE
    fence_release()
#else
    skip
#endif
}
inline put(descriptor, stamp) {
    store_relaxed(WORD_0, stamp);
    store_relaxed(WORD_1, stamp);
#ifdef BREAK_RELEASE
    store_relaxed(descriptor, stamp)
#else
    store_release(descriptor, stamp)
#endif
}

proctype writer() {
    byte j;
    put(BORN_A, 1);           /* new */
    drop(BORN_A);             /* replaced in place */
    put(BORN_A, 2);
    drop(BORN_A);             /* evicted; its extent goes to another entry */
    put(BORN_B, 3);
    store_release(INVALID, 3);
#ifdef BREAK_ACKNOWLEDGE
    store_relaxed(ACK, 3);
#else
    store_release(ACK, 3);
#endif
    drop(BORN_B);
    put(BORN_A, 5)
}

proctype reader(byte descriptor) {
    view mine, pending;
    byte j, pick, acknowledged, stamp, word_0, word_1, invalid, again;
    load_acquire(ACK, acknowledged);
    load_acquire(descriptor, stamp);
    if
    :: stamp == 0 -> goto miss
    :: else
    fi;
    load_acquire(INVALID, invalid);
    if
    :: stamp <= invalid -> goto miss
    :: else
    fi;
    load_relaxed(WORD_0, word_0);
    load_relaxed(WORD_1, word_1);
#ifndef BREAK_READER_FENCE
    fence_acquire();
#endif
#ifdef BREAK_RECHECK
    again = stamp;
#else
    load_relaxed(descriptor, again);
#endif
    if
    :: again != stamp -> goto miss
    :: else
    fi;
    assert(word_0 == stamp && word_1 == stamp);
    assert(stamp > acknowledged);
miss:
    skip
}

init {
    atomic {
        run writer();
        run reader(BORN_A);
        run reader(BORN_B)
    }
}
