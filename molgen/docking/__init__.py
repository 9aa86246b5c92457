"""From 3D molecules to docked poses, by AutoDock Vina and Meeko (the extra ``molgen[docking]``)."""
