package ticket

// maxLen bounds the text of a ticket. The largest that iroh makes has a few dozen
// addresses and about 1,000 characters; a longer one is not a ticket, and would
// cost its length several times over.
const maxLen = 64 << 10

// maxURLLen bounds a relay URL. Host names end at 253 bytes; a longer URL is there
// to fill logs.
const maxURLLen = 2 << 10
