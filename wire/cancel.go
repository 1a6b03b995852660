package wire

// Cancel ends the export that has the frame's request id. It is not answered by
// itself: the export's last frame comes as usual. A cancel of an export that has
// ended already is ignored.
type Cancel struct{ empty }
