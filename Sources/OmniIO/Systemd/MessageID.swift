/// `MESSAGE_ID=` of each event that an operator acts on. `systemd/omni2-native.catalog` explains each
/// one: cause, consequence, remedy; a test holds the two together. An id never changes its meaning.
public enum MessageID: String, Sendable, CaseIterable {
    // Main
    case daemonReady = "79e7f81656cd49e0a0522f19a2563ab7"
    case daemonStopping = "91677e2e72954c05868e31cfbfa82428"
    case configurationInvalid = "1240cbed69ab45329567cc994c621822"
    case configurationReloaded = "565da175fcfe479788abb67bb1b56482"
    case configurationNeedsRestart = "542ac2b2014b43caa14c647e11738e76"
    case ringUnavailable = "1c88e0178c3545058cc07d62d31dd1a0"
    case listenerFailed = "22de0e2dcc784683997848ad54b98d41"
    case connectionLimitReached = "6ac130f38af34862b399c77493dba101"
    case descriptorLimitReached = "694a3f6d62c54d8f9233d865dc16da65"
    case memoryPressure = "230c0e7f450644d3b3136ad80f16436e"
    case journalRecordsDropped = "95b671f28af44907ba6053412a43fbe1"
    case journalRecordsSuppressed = "eae8317a5a2e4aceb8dbcac4adb49013"
    case handOverRestored = "381057fb0d4f4135a5be8d17371cc2fc"
    case handOverDiscarded = "34cbbd72d4c042f0b6d68e444751a130"

    // Coordinator
    case serverDisconnected = "45ac615ceb9d435b805a290840608f05"
    case serverRecovered = "e3850018fa5442e8a28ee311c32654b8"
    case serverDisabled = "9e3fc1b409a240c789bab5db6f21542a"
    case serverLoadFailed = "077386216c1e4dc6a6131ade07338c2a"
    case registryUnreadable = "197cd38d0df84012a8d7a7c3dc366eb9"

    // CircuitBreaker
    case circuitOpened = "f1806d1f0fef4b8b907db16e84b74489"
    case circuitHalfOpen = "ce5a7fd5c1e840debf261d86f62c63c7"
    case circuitClosed = "d61c5883c70e4f959e773cf36f94e078"

    // Cache
    case cacheRebuilt = "d8ad458598454ecf9adb3b9a5f26a8d7"
    case cacheReaderRefused = "d324bce686f94ca396139aedab425e30"

    // WebSocket
    case subscriberLagged = "d9aac132ca644a9baa9437692238b30c"

    // Gateway
    case serverProtocolViolation = "3c5286396a2c4cbaa35c1bc3a6c95e5c"
    case serverProcessEnded = "c141c023eac346cb8391bebb3cff0120"
    case resultTooLarge = "a654b1cf44e24df0b3316152b3940e0f"
    case importFailed = "a16d22adabe64f9d8aa0bbb41fe11009"

    // Access
    case adminTokenCreated = "dbc41413b09d4be98f8a5fee421d0421"
    case accessDenied = "fc7540f6f19f414996ccd282222662e4"
    case userBlocked = "029d04007f47454984b2924356782316"

    // Database
    case databaseConnected = "60f77cd5bedc45038070a7e66ce48079"
    case databaseLost = "090f19e80a734aff87994fe3c7551983"
    case migrationFailed = "5cd3b63c109b4e48a8b43fb86b50ab78"
    case spoolFull = "c402b6bb0f1540538620f2bef2118aaf"

    // Cluster, Telemetry, Chat
    case redisLost = "7f7620f518bd499782930d3dfd1d5b70"
    case redisConnected = "5763a37beec849d99c530ed3371e1cbe"
    case exportFailing = "348f260d29184fcc8db007e4a800106d"
    case modelUnavailable = "db4b182089074df99d5f22bf3a71034b"
}
