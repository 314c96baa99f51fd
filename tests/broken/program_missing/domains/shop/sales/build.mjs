// builds
