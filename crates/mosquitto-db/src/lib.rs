//! What Mosquitto keeps on disk, as values: `mosquitto.db`, and the databases of its persist-sqlite plugin.
