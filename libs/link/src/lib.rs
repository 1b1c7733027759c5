//! One websocket between cloudcore and edgecore
