"""A made-up town hall on this machine: one urgent alert goes out, its people answer, a terminal shows it live."""
