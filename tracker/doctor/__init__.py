"""What `dmb doctor` looks at. Everything here must run where torch, OpenCV or the toolkit are missing or broken."""
