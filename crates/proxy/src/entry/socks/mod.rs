//! SOCKS5 (RFC 1928) with user name and password (RFC 1929): the workload's name and key, and CONNECT.

mod message;
