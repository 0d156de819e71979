package feed

// LaneLoaded is how many events of one conversation are kept in memory.
const LaneLoaded = laneLoaded
