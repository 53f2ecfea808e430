"""WeChat's API hosts: one endpoint a path, refused as WeChat refuses."""
