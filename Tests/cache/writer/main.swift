// A writer process for the tests of the shared cache: the daemon's Cache room without the daemon.
//
//   CacheTestWriter serve SOCKET [entries] [bytes] [ttl-ms]  commands on standard input, one a line
//   CacheTestWriter torture                          full speed; store on 3, board on 4, segment on 5
//   CacheTestWriter crash SEED STORES                dies at the given shared store
//   CacheTestWriter recover STORES                   recovers, and dies at the given shared store
//   CacheTestWriter fill ENTRIES BYTES [churn]       for the benchmark; segment on 3

let words = CommandLine.arguments.dropFirst()
switch words.first {
case "serve": Serve(Array(words.dropFirst())).run()
case "torture": Torture().run()
case "crash":
    var work = CrashPoints(seed: number(words, 1), stores: number(words, 2))
    work.work()
case "recover":
    var work = CrashPoints(seed: 0, stores: number(words, 1))
    work.recover()
case "fill": Fill(Array(words.dropFirst())).run()
default: fatalError("see the first lines of main.swift for the words this understands")
}

func number(_ words: ArraySlice<String>, _ index: Int) -> UInt64 {
    UInt64(words[words.startIndex + index]) ?? 0
}
