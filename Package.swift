// swift-tools-version: 6.2
import PackageDescription

// Four layers, one direction: omni2-native → OmniIO → OmniCore, and OmniIO → CShims.
// The import list is the layer; the compiler enforces it.

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .strictMemorySafety(),
]

let package = Package(
    name: "omni2-native",
    products: [
        .executable(name: "omni2-native", targets: ["omni2-native"]),
        .executable(name: "omni2ctl", targets: ["omni2ctl"]),
        .library(name: "Omni2Cache", targets: ["Omni2Cache"]),
    ],
    targets: [
        .target(
            name: "CShims",
            linkerSettings: [
                .linkedLibrary("uring"), .linkedLibrary("systemd"), .linkedLibrary("pq"),
                .linkedLibrary("sqlite3"), .linkedLibrary("curl"), .linkedLibrary("crypto"),
                .linkedLibrary("z"), .linkedLibrary("hiredis"),
            ]
        ),
        .target(name: "OmniCore", swiftSettings: strict),
        .target(name: "OmniIO", dependencies: ["OmniCore", "CShims"], swiftSettings: strict),
        .executableTarget(
            name: "omni2-native", dependencies: ["OmniCore", "OmniIO"], swiftSettings: strict),
        .executableTarget(
            name: "omni2ctl", dependencies: ["OmniCore", "OmniIO"], swiftSettings: strict),
        // For other programs: reads the daemon's cache, links nothing of the daemon.
        .target(
            name: "COmni2Cache", path: "clients/c",
            exclude: [
                "Makefile", "omni2cache.map", "omni2cache.pc.in", "omni2-cache.c",
            ],
            sources: ["omni2cache.c"], publicHeadersPath: "include"),
        .target(name: "Omni2Cache", dependencies: ["COmni2Cache"], swiftSettings: strict),
        .executableTarget(
            name: "CacheExample", dependencies: ["Omni2Cache"], path: "clients/examples",
            exclude: ["read.c", "read.py", "pipeline.sh"], sources: ["read.swift"],
            swiftSettings: strict),
        .target(name: "CacheTestSupport", path: "Tests/cache/support"),
        .executableTarget(
            name: "CacheTestWriter",
            dependencies: ["OmniCore", "OmniIO", "CShims", "CacheTestSupport"],
            path: "Tests/cache/writer", swiftSettings: strict),
        .testTarget(name: "OmniCoreTests", dependencies: ["OmniCore"], swiftSettings: strict),
        .testTarget(
            name: "OmniIOTests",
            dependencies: ["OmniIO", "OmniCore", "Omni2Cache", "CacheTestSupport"],
            swiftSettings: strict),
        // Counts allocations: stands in front of malloc in the test program.
        .target(name: "CAllocations", path: "Tests/support/allocations"),
        .testTarget(
            name: "DaemonTests",
            dependencies: ["omni2-native", "OmniIO", "OmniCore", "CAllocations"],
            swiftSettings: strict),
    ],
    cLanguageStandard: .gnu11
)
