//! Which proxy a request goes through, by the rules of curl.
