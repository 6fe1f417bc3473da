// Package wire is the encoding of the TLS 1.3 handshake messages (RFC 8446, section 4) that rpktls exchanges: one file
// for each message, with its layout, a parser and a writer.
//
// A message is type(1) length(3) body(length), an extension type(2) length(2) data(length), all integers big-endian;
// x<a..b> is a vector of a to b bytes behind its length in as many bytes as b needs. Parsers take a body and keep
// references to it. They check its form and, since that is a matter of form, that no extension is there twice, in the
// wrong message or unasked; whether the content is acceptable is the caller's to judge. No byte may be left over.
//
// Input comes from peers that nothing is known of. Every error is an *[Error], which names the alert to send.
package wire
